/**
 * The low-rank part of one residual, in the codec that suits its size: over an orthonormal basis, which takes fewer
 * codes the larger a share of the space it spans, or as two free factors, which take less time.
 */
import type { EncodedTerm } from '../codecs/codec.js';
import type { IntegerFactors } from '../codecs/integer-product.js';
import type { LowRankFactors } from '../codecs/low-rank.js';
import type { Kernels } from '../kernels/kernels.js';
import type { GemmEngine } from '../linalg/gemm-engine.js';
import { streamProducts } from '../linalg/stream-products.js';
import { encodeFactors, type FactorEncoding } from './encode-factors.js';
import { encodeSubspace } from './encode-subspace.js';
import { usesSubspace } from './plan-residual.js';
import { type GroupMember, singleSource } from './subspace-source.js';

export interface ComponentSource extends GroupMember {
  /** Of R · diag(√columnWeights). */
  readonly svd: LowRankFactors;
  /** Components to encode. */
  readonly rank: number;
  /** Weight of the squared error in a column, mean 1; default 1. */
  readonly columnWeights?: Float32Array | undefined;
}

export interface EncodedComponents {
  readonly term: EncodedTerm;
  readonly factors: IntegerFactors;
  /** A float32. */
  readonly scale: number;
  readonly byteLength: number;
}

/** Encodes the leading components of R; undefined when every code is zero. */
export async function encodeComponents(
  source: ComponentSource,
  encoding: FactorEncoding,
  kernels: Kernels,
  engine: GemmEngine,
): Promise<EncodedComponents | undefined> {
  const { stream, svd, rank, columnWeights } = source;
  if (usesSubspace(stream, rank)) {
    const subspace = singleSource(source, svd, rank, engine, columnWeights);
    const found = await encodeSubspace(subspace, encoding, kernels, engine);
    if (found?.parts[0] !== undefined) return { ...found.parts[0], byteLength: found.byteLength };
  }
  const products = streamProducts(stream, { engine });
  return encodeFactors({ svd, rank, products, columnWeights }, encoding, kernels, engine);
}

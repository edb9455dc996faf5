/**
 * Low-rank parts of residuals that share one basis (codec "coded-subspace"): R_t ≈ C_t Bᵀ for every tensor t of a
 * group, B with orthonormal columns. Query, key and value matrices read the same activations, so their residuals
 * lie in nearly the same space of inputs, and its basis is paid for once. One tensor alone is a group too.
 *
 * The basis is quantised first, vector by vector, in the coordinates that orthogonality to the ones before leaves.
 * What it lost inside its own span costs nothing: the coefficients C_t = R_t B are made for the quantised basis, and
 * with orthonormal vectors their error is the error of the reconstruction. Rounds of refitting the basis to the
 * quantised coefficients follow, and the cheapest round is kept.
 */
import type { EncodedTerm } from '../codecs/codec.js';
import {
  BASIS_UNIT,
  type BasisSide,
  codedSubspaceTerm,
  isAffordable,
  type SubspaceBand,
} from '../codecs/coded-subspace.js';
import { type IntegerFactors, productProblem } from '../codecs/integer-product.js';
import type { Kernels } from '../kernels/kernels.js';
import type { GemmEngine } from '../linalg/gemm-engine.js';
import { createMatrix, type Matrix, rowRange, transpose } from '../linalg/matrix.js';
import { scaleRows, selectComponents, solveOtherSide } from './component-matrix.js';
import { type CodedBasis, encodeBasis } from './encode-basis.js';
import { BAND_BYTE_LENGTH, bandsOfAbout, type FactorEncoding } from './encode-factors.js';

/** One tensor of a group. */
export interface SubspacePart {
  /** Coefficients of a component: the tensor's rows where the basis spans its columns, else its columns. */
  readonly length: number;
  /** ‖R‖², weighted. */
  readonly energy: number;
  /** Coefficients of vectors: dimension × k to length × k, R · x or Rᵀ · x. */
  project(vectors: Matrix): Promise<Matrix>;
  /** The transpose of `project`: length × k to dimension × k. */
  collect(coefficients: Matrix): Promise<Matrix>;
  /** Weight of the squared error at a coefficient, mean 1; default 1. So column weights need a basis of "rows". */
  readonly weights?: Float32Array | undefined;
}

export interface SubspaceSource {
  readonly side: BasisSide;
  readonly dimension: number;
  readonly parts: readonly SubspacePart[];
  /** Components to encode. */
  readonly rank: number;
  /** Singular vectors of the (weighted) parts stacked, at least `rank` × dimension, strongest first. */
  readonly vectors: Float32Array;
  readonly singularValues: Float64Array;
}

/** What one tensor of a group is coded as. */
export interface EncodedSubspacePart {
  readonly term: EncodedTerm;
  /** For what a dense remainder is coded against. */
  readonly factors: IntegerFactors;
  /** A float32. */
  readonly scale: number;
}

export interface EncodedSubspace {
  /** By part; undefined where every coefficient is zero. Terms share the arrays of the basis' chunks. */
  readonly parts: readonly (EncodedSubspacePart | undefined)[];
  /** ‖R_t − R̂_t‖² by part, weighted. */
  readonly squaredErrors: readonly number[];
  /** Payload, the basis once. */
  readonly byteLength: number;
  /** Σ‖R − R̂‖² + λ·bits, in squared weight units. */
  readonly cost: number;
}

/** Encodes the leading components of a group; undefined when every code is zero. */
export async function encodeSubspace(
  source: SubspaceSource,
  encoding: FactorEncoding,
  kernels: Kernels,
  engine: GemmEngine,
): Promise<EncodedSubspace | undefined> {
  const { dimension } = source;
  const { step } = encoding;
  let rank = Math.min(source.rank, dimension);
  let targets: Float32Array = new Float32Array(rank * dimension);
  for (let k = 0; k < rank; k++) {
    const factor = source.singularValues[k] / step;
    for (let i = k * dimension; i < (k + 1) * dimension; i++) targets[i] = source.vectors[i] * factor;
  }
  let best: Round | undefined;
  for (let round = 1; ; round++) {
    const basis = encodeBasis(targets, { dimension, bandsOf: bandsOf(source) }, encoding, kernels);
    if (basis === undefined) break;
    rank = basis.vectors.columns;
    const coded = await encodeCoefficients(source, basis, encoding, kernels);
    const found = { basis, coded, ...priceOf(source, basis, coded, encoding) };
    if (best === undefined || found.cost < best.cost) best = found;
    if (round >= encoding.refits) break;
    targets = await refitBasis(source, coded, rank, step, engine);
  }
  return best && assemble(source, best, encoding);
}

/** Sizes of bands as of one tensor's share of the group. */
function bandsOf({ dimension, parts }: SubspaceSource): (rank: number) => readonly number[] {
  const length = parts.reduce((sum, part) => sum + part.length, dimension) / parts.length;
  return (rank) => bandsOfAbout(BAND_BYTE_LENGTH, rank, length);
}

interface Round extends Omit<EncodedSubspace, 'parts'> {
  readonly basis: CodedBasis;
  readonly coded: readonly CodedCoefficients[];
}

interface CodedCoefficients {
  readonly chunks: readonly Uint8Array[];
  /** components × length, half steps. */
  readonly codes: Int16Array;
  /** Weight units of a half step that fit the codes best; 0 where all are 0. */
  readonly halfStep: number;
  /** What component k takes off ‖R‖². */
  readonly drops: Float64Array;
}

/** Codes the coefficients R B of every part. */
async function encodeCoefficients(
  { parts }: SubspaceSource,
  { bands, vectors }: CodedBasis,
  { step, lambda, factorStates: states }: FactorEncoding,
  kernels: Kernels,
): Promise<CodedCoefficients[]> {
  const rank = vectors.columns;
  const coded: CodedCoefficients[] = [];
  for (const { length, project, weights } of parts) {
    const exact = transpose(await project(vectors)).data;
    const values = exact.map((value) => value / step);
    const codes = new Int16Array(values.length);
    const encoder = kernels.createMatrixEncoder({ columns: length, states });
    const columnWeights = weights === undefined ? {} : { columnWeights: weights };
    let first = 0;
    const chunks = bands.map((rows) => {
      const range = [first * length, (first + rows) * length] as const;
      const own = { values: values.subarray(...range), codes: codes.subarray(...range) };
      encoder.encodeRows({ ...own, rows, lambda, ...columnWeights });
      first += rows;
      return encoder.endChunk();
    });
    encoder.free();
    coded.push({ chunks, codes, ...fitScale(exact, codes, rank, weights) });
  }
  return coded;
}

/** One scale for all codes moves their reconstruction to the centroids of its cells. @param exact components × length */
function fitScale(
  exact: Float32Array,
  codes: Int16Array,
  rank: number,
  weights: Float32Array | undefined,
): Pick<CodedCoefficients, 'halfStep' | 'drops'> {
  const length = codes.length / rank;
  const inner = new Float64Array(rank);
  const energy = new Float64Array(rank);
  for (let k = 0, at = 0; k < rank; k++) {
    for (let i = 0; i < length; i++, at++) {
      const weighted = (weights?.[i] ?? 1) * codes[at];
      inner[k] += weighted * exact[at];
      energy[k] += weighted * codes[at];
    }
  }
  const total = sumOf(energy);
  // The scale of the term is a float32.
  const halfStep = total === 0 ? 0 : Math.fround(sumOf(inner) / total / BASIS_UNIT) * BASIS_UNIT;
  const drops = inner.map((product, k) => halfStep * (2 * product - halfStep * energy[k]));
  return { halfStep, drops };
}

function priceOf(
  { parts }: SubspaceSource,
  { chunks }: CodedBasis,
  coded: readonly CodedCoefficients[],
  { step, lambda }: FactorEncoding,
): Omit<EncodedSubspace, 'parts'> {
  const present = coded.filter(({ halfStep }) => halfStep > 0);
  const stored = present.length === 0 ? [] : [chunks, ...present.map((part) => part.chunks)].flat();
  const byteLength = stored.reduce((sum, bytes) => sum + bytes.byteLength, 0);
  const squaredErrors = coded.map(({ drops }, t) => Math.max(0, parts[t].energy - sumOf(drops)));
  return {
    squaredErrors,
    byteLength,
    cost: sumOf(squaredErrors) + lambda * step ** 2 * 8 * byteLength,
  };
}

function assemble(
  { side, dimension, parts }: SubspaceSource,
  { basis, coded, ...price }: Round,
  { factorStates }: FactorEncoding,
): EncodedSubspace | undefined {
  const { bands, chunks } = basis;
  const rank = basis.vectors.columns;
  const integers = interleave(basis.integers, rank, dimension);
  const encoded = coded.map(({ codes, halfStep, ...own }, t): EncodedSubspacePart | undefined => {
    if (halfStep === 0) return undefined;
    const coefficients = interleave(codes, rank, parts[t].length);
    const [a, b] = side === 'columns' ? [coefficients, integers] : [integers, coefficients];
    let first = 0;
    const ofBands = bands.map((components, band): SubspaceBand => {
      const squaredErrorDrop = sumOf(own.drops.subarray(first, first + components));
      first += components;
      return { components, basis: chunks[band], coefficients: own.chunks[band], squaredErrorDrop };
    });
    const scale = Math.fround(halfStep / BASIS_UNIT);
    return { term: codedSubspaceTerm(ofBands, scale, factorStates, side), factors: { a, b, rank }, scale };
  });
  if (encoded.every((part) => part === undefined)) return undefined;
  if (encoded.some((part, t) => part && !isDecodable(part, dimension, parts[t].length))) return undefined;
  return { parts: encoded, ...price };
}

/** What a decoder checks. */
function isDecodable({ term, factors }: EncodedSubspacePart, dimension: number, length: number): boolean {
  const payload = term.chunks.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
  return productProblem(factors) === undefined && isAffordable(factors.rank, dimension, length, payload);
}

/**
 * The basis that fits the quantised coefficients best, in steps of them: components × dimension, without those whose
 * coefficients are all zero.
 */
async function refitBasis(
  { dimension, parts }: SubspaceSource,
  coded: readonly CodedCoefficients[],
  rank: number,
  step: number,
  engine: GemmEngine,
): Promise<Float32Array> {
  const total = parts.reduce((sum, { length }) => sum + length, 0);
  const stacked = createMatrix(total, rank);
  const projected = createMatrix(dimension, rank);
  let first = 0;
  for (const [t, { length, weights, collect }] of parts.entries()) {
    const { codes, halfStep } = coded[t];
    const rows = rowRange(stacked, first, first + length);
    first += length;
    for (let k = 0, at = 0; k < rank; k++)
      for (let i = 0; i < length; i++, at++) rows.data[i * rank + k] = codes[at] * halfStep;
    const weighted = await collect(scaleRows(rows, weights, (weight) => weight));
    for (let i = 0; i < weighted.data.length; i++) projected.data[i] += weighted.data[i];
    rows.data.set(scaleRows(rows, weights, Math.sqrt).data);
  }
  const { scaled, norms } = await solveOtherSide(stacked, projected, engine);
  const kept = [...norms.keys()].filter((k) => norms[k] > 0);
  return selectComponents(scaled, kept, dimension).map((value) => value / step);
}

/** components × length integers as length × components. */
function interleave(codes: Int16Array | Int32Array, components: number, length: number): Int32Array {
  const out = new Int32Array(codes.length);
  for (let k = 0, at = 0; k < components; k++)
    for (let i = 0; i < length; i++, at++) out[i * components + k] = codes[at];
  return out;
}

function sumOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum;
}

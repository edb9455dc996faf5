/**
 * Second pass over one tensor pair: the terms of the chosen operating point, and what they decode
 * to. The decoder itself runs here, so the digest in the archive is that of the real output.
 */
import type { ArchiveTerm, Digest } from '../../formats/ere/archive-index.js';
import type { Choice } from '../allocation/operating-points.js';
import type { EncodedTerm } from '../codecs/codec.js';
import { encodeDense } from '../codecs/dense.js';
import { encodeLowRank, type LowRankFactors } from '../codecs/low-rank.js';
import { encodeSign } from '../codecs/sign.js';
import type { GemmEngine } from '../linalg/gemm-engine.js';
import type { MatrixStream } from '../linalg/matrix-stream.js';
import { encodeResidual } from '../rate-distortion/encode-residual.js';
import { encodeRows, type ReadablePair, residualReader } from './analyse-tensor.js';
import { type DecodableTensor, decodeTensor } from './decode-tensor.js';

export interface EncodedTensor {
  readonly terms: readonly EncodedTerm[];
  readonly decodedDigest: Digest;
  /** ‖W_ft − Ŵ‖² over all rows, rounding included. */
  readonly squaredError: number;
  /** Leading singular values of the residual, where the encoder computed them here. */
  readonly singularValues?: Float64Array;
}

/** What a residual is encoded from, made when first needed. */
export interface ResidualSource {
  /** ‖R‖² over the common rows. */
  readonly energy: number;
  /** The leading components: at least `rank`, or all there are. */
  factors(rank: number): Promise<LowRankFactors>;
  engine(): Promise<GemmEngine>;
  readonly stream: MatrixStream;
}

/** @param exactTerms terms that the analysis has finished */
export async function encodeTensor(
  readable: ReadablePair,
  choice: Choice,
  source: ResidualSource,
  exactTerms: readonly EncodedTerm[],
): Promise<EncodedTensor> {
  const covered = pairRows(readable);
  const chosen = await chosenTerms(readable, choice, source);
  const terms = [
    ...(choice.kind === 'exact' ? chosen : chosen.map((term) => ({ ...term, ...covered }))),
    ...(choice.kind === 'exact' ? [] : exactTerms),
  ];
  const decoded = await decodeBack(readable, terms);
  if (choice.kind !== 'rate-distortion') return { terms, ...decoded };
  // At least one component is known by now: the coder looked for those above water.
  const { singularValues } = await source.factors(1);
  return { terms, ...decoded, singularValues };
}

/** The rows that additive terms cover, where they are not all. */
function pairRows({ pair }: ReadablePair): { readonly rows?: readonly [number, number] } {
  return pair.commonRows < pair.rows ? { rows: [0, pair.commonRows] } : {};
}

async function chosenTerms(
  readable: ReadablePair,
  choice: Choice,
  source: ResidualSource,
): Promise<EncodedTerm[]> {
  const { pair, runtime } = readable;
  const { commonRows, columns } = pair;
  const { kernels } = runtime;
  switch (choice.kind) {
    case 'none':
      return [];
    case 'dense':
      return [await encodeDense(residualReader(readable), commonRows, columns, choice.bits, kernels)];
    case 'sign':
      return [await encodeSign(residualReader(readable), commonRows, columns, kernels)];
    case 'low-rank':
      return [encodeLowRank(await source.factors(choice.rank), choice.rank, choice.bits, kernels)];
    case 'rate-distortion':
      return encodeResidual(source, choice, kernels, await source.engine());
    case 'exact':
      return [await encodeRows(readable, 0)];
  }
}

/** Decodes the terms as a decoder would, and compares with the fine-tuned tensor. */
async function decodeBack(
  readable: ReadablePair,
  terms: readonly EncodedTerm[],
): Promise<{ decodedDigest: Digest; squaredError: number }> {
  const { pair, readFineTuned, readBase, runtime } = readable;
  const chunks = terms.flatMap((term) => term.chunks.map((chunk) => chunk.bytes));
  let next = 0;
  const placed = terms.map((term): ArchiveTerm => ({ ...term, chunks: term.chunks.map(() => next++) }));
  const tensor: DecodableTensor = {
    name: pair.fineTuned.name,
    dtype: pair.fineTuned.dtype,
    shape: pair.fineTuned.shape,
    columns: pair.columns,
    terms: placed,
    ...(pair.base === undefined ? {} : { base: { dtype: pair.base.dtype, shape: pair.base.shape } }),
  };
  let squaredError = 0;
  const { decoded } = await decodeTensor({
    tensor,
    archive: 'the archive being written',
    readChunk: async (chunk) => chunks[chunk],
    ...(readBase === undefined ? {} : { readBase }),
    write: async (byteOffset, bytes) => {
      if (pair.kind !== 'matrix') return; // Exact terms only.
      const original = await readFineTuned(byteOffset, bytes.byteLength);
      squaredError += runtime.kernels.squaredDistance(pair.fineTuned.dtype as never, bytes, original);
    },
    runtime,
  });
  return { decodedDigest: decoded, squaredError };
}

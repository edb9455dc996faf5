/**
 * Second pass over one tensor pair: the terms of the chosen operating point, and what they decode
 * to. The decoder itself runs here, so the digest in the archive is that of the real output.
 */
import type { Digest } from '../../formats/ere/archive-index.js';
import type { Choice } from '../allocation/operating-points.js';
import type { EncodedTerm } from '../codecs/codec.js';
import { encodeDense } from '../codecs/dense.js';
import { encodeLowRank, type LowRankFactors } from '../codecs/low-rank.js';
import { encodeSign } from '../codecs/sign.js';
import { type ReadablePair, residualReader } from './analyse-tensor.js';
import { decodeTensor } from './decode-tensor.js';
import { decoderInput } from './encoded-terms.js';
import { encodeRefinement, encodeRowsExactly } from './exact-terms.js';

export interface EncodedTensor {
  readonly terms: readonly EncodedTerm[];
  readonly decodedDigest: Digest;
  /** ‖W_ft − Ŵ‖² over all rows, rounding included. */
  readonly squaredError: number;
}

/** @param factors needed for a low-rank choice; @param exactTerms terms that the analysis has finished */
export async function encodeTensor(
  readable: ReadablePair,
  choice: Choice,
  factors: LowRankFactors | undefined,
  exactTerms: readonly EncodedTerm[],
): Promise<EncodedTensor> {
  const terms = [...(await chosenTerms(readable, choice, factors)), ...exactTerms];
  return { terms, ...(await decodeBack(readable, terms)) };
}

/** Exact terms on top of lossy ones. */
export interface TensorRefinement {
  readonly terms: readonly EncodedTerm[];
  /** Of what the lossy terms and these decode to together. */
  readonly decodedDigest: Digest;
}

/** @param terms every term of the lossy tensor, in order */
export async function refineTensor(
  readable: ReadablePair,
  terms: readonly EncodedTerm[],
): Promise<TensorRefinement> {
  const refinement = await encodeRefinement(readable, terms);
  const { decodedDigest } = await decodeBack(readable, [...terms, ...refinement]);
  return { terms: refinement, decodedDigest };
}

async function chosenTerms(
  readable: ReadablePair,
  choice: Choice,
  factors: LowRankFactors | undefined,
): Promise<EncodedTerm[]> {
  const { pair, runtime } = readable;
  const covered = pair.commonRows < pair.rows ? { rows: [0, pair.commonRows] as const } : {};
  switch (choice.kind) {
    case 'none':
      return [];
    case 'exact':
      return [await encodeRowsExactly(readable, 0, pair.commonRows)];
    case 'dense':
      return [
        {
          ...(await encodeDense(
            residualReader(readable),
            pair.commonRows,
            pair.columns,
            choice.bits,
            runtime.kernels,
          )),
          ...covered,
        },
      ];
    case 'sign':
      return [
        {
          ...(await encodeSign(residualReader(readable), pair.commonRows, pair.columns, runtime.kernels)),
          ...covered,
        },
      ];
    case 'low-rank':
      if (factors === undefined) throw new TypeError('expected factors for a low-rank choice, got none');
      return [{ ...encodeLowRank(factors, choice.rank, choice.bits, runtime.kernels), ...covered }];
  }
}

/** Decodes the terms as a decoder would, and compares with the fine-tuned tensor. */
async function decodeBack(
  readable: ReadablePair,
  terms: readonly EncodedTerm[],
): Promise<{ decodedDigest: Digest; squaredError: number }> {
  const { pair, readFineTuned, runtime } = readable;
  let squaredError = 0;
  const { decoded } = await decodeTensor({
    ...decoderInput(readable, terms),
    write: async (byteOffset, bytes) => {
      if (pair.kind !== 'matrix') return; // Exact terms only.
      const original = await readFineTuned(byteOffset, bytes.byteLength);
      squaredError += runtime.kernels.squaredDistance(pair.fineTuned.dtype as never, bytes, original);
    },
    runtime,
  });
  return { decodedDigest: decoded, squaredError };
}

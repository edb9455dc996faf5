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
import { encodeRows, type ReadablePair, residualReader } from './analyse-tensor.js';
import { type DecodableTensor, decodeTensor } from './decode-tensor.js';

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
  const terms = [
    ...(await chosenTerms(readable, choice, factors)),
    ...(choice.kind === 'exact' ? [] : exactTerms),
  ];
  return { terms, ...(await decodeBack(readable, terms)) };
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
      return [await encodeRows(readable, 0)];
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

/** Terms that an encoder has just made, as a decoder reads them: the encoder decodes what it writes. */
import type { ArchiveTerm } from '../../formats/ere/archive-index.js';
import type { EncodedTerm } from '../codecs/codec.js';
import type { ReadablePair } from './analyse-tensor.js';
import type { TensorPiecesInput } from './tensor-pieces.js';

/** What a decoder of a pair's tensor is given, over terms that are in no archive yet. */
export function decoderInput(
  { pair, readBase, runtime }: ReadablePair,
  terms: readonly EncodedTerm[],
): TensorPiecesInput {
  const chunks = payloadsOf(terms);
  let next = 0;
  const placed = terms.map(
    ({ codec, rows, params, chunks: own }): ArchiveTerm => ({
      codec,
      ...(rows === undefined ? {} : { rows }),
      chunks: own.map(() => next++),
      params,
    }),
  );
  return {
    tensor: {
      name: pair.fineTuned.name,
      dtype: pair.fineTuned.dtype,
      shape: pair.fineTuned.shape,
      columns: pair.columns,
      terms: placed,
      ...(pair.base === undefined ? {} : { base: { dtype: pair.base.dtype, shape: pair.base.shape } }),
    },
    archive: 'the archive being written',
    readChunk: async (chunk) => chunks[chunk],
    ...(readBase === undefined ? {} : { readBase }),
    runtime,
  };
}

export function payloadsOf(terms: readonly EncodedTerm[]): Uint8Array[] {
  return terms.flatMap(({ chunks }) => chunks.map(({ bytes }) => bytes));
}

/** Payload bytes of terms. */
export function byteLengthOf(terms: readonly EncodedTerm[]): number {
  return payloadsOf(terms).reduce((sum, { byteLength }) => sum + byteLength, 0);
}

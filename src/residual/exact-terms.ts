/** Exact terms of a tensor: by itself against the base, or on top of lossy terms, of all weights or of small ones. */
import { DTYPES, isFloatDtype } from '../../formats/dtype.js';
import type { EncodedTerm, ExactInput } from '../codecs/codec.js';
import { encodeExactRows } from '../codecs/encode-exact.js';
import { encodeIntervalSmall } from '../codecs/encode-interval-small.js';
import type { ReadablePair } from './analyse-tensor.js';
import { decoderInput } from './encoded-terms.js';
import type { TensorPair } from './pair-tensors.js';
import { openReconstruction } from './reconstruction.js';

/** Rows [start, end): those that the base has against it, and further ones by themselves. */
export async function encodeExactly(
  readable: ReadablePair,
  [start, end]: readonly [number, number],
): Promise<EncodedTerm[]> {
  const parts = exactParts(readable.pair, start, end);
  const terms: EncodedTerm[] = [];
  for (const part of parts) terms.push(await encodeRowsExactly(readable, ...part));
  return terms;
}

/** Rows [start, end) in parts that the base has or lacks as a whole. */
export function exactParts({ commonRows }: TensorPair, start: number, end: number): [number, number][] {
  if (commonRows <= start || commonRows >= end) return [[start, end]];
  return [
    [start, commonRows],
    [commonRows, end],
  ];
}

/**
 * Rows [start, end), which the base has or lacks as a whole, against the base where it has them: its bytes,
 * or its values in the tensor's dtype.
 */
export async function encodeRowsExactly(
  readable: ReadablePair,
  start: number,
  end: number,
): Promise<EncodedTerm> {
  const { pair, readBase } = readable;
  const { base, fineTuned, commonRows } = pair;
  if (base === undefined || readBase === undefined || end > commonRows) {
    return encode(readable, start, end, undefined);
  }
  if (base.dtype === fineTuned.dtype)
    return encode(readable, start, end, {
      kind: 'base',
      read: async (byteOffset, byteLength) => ({ bytes: await readBase(byteOffset, byteLength) }),
    });
  if (!isFloatDtype(base.dtype) || !isFloatDtype(fineTuned.dtype)) {
    return encode(readable, start, end, undefined);
  }
  return encodeOnTop(readable, [], start, end);
}

/**
 * The terms that make a tensor exact on top of `terms`. The rows that it adds to its base are exact already.
 * @param terms every term of the lossy tensor, in order
 */
export async function encodeRefinement(
  readable: ReadablePair,
  terms: readonly EncodedTerm[],
): Promise<EncodedTerm[]> {
  return [await encodeOnTop(readable, terms, 0, readable.pair.commonRows)];
}

/**
 * The term on top of `terms` that leaves no weight of the common rows further off than the next value of its dtype;
 * undefined where none is.
 * @param terms every term of these rows, in order
 */
export async function encodeSmallWeights(
  readable: ReadablePair,
  terms: readonly EncodedTerm[],
): Promise<EncodedTerm | undefined> {
  const { commonRows, rows } = readable.pair;
  const reconstruction = openReconstruction(decoderInput(readable, terms));
  try {
    const prediction = { kind: 'reconstruction', read: reconstruction.read } as const;
    const term = await encodeIntervalSmall(exactInput(readable, 0, commonRows, prediction));
    return term === undefined || commonRows === rows ? term : { ...term, rows: [0, commonRows] };
  } finally {
    await reconstruction.close();
  }
}

async function encodeOnTop(
  readable: ReadablePair,
  terms: readonly EncodedTerm[],
  start: number,
  end: number,
): Promise<EncodedTerm> {
  const reconstruction = openReconstruction(decoderInput(readable, terms));
  try {
    return await encode(readable, start, end, { kind: 'reconstruction', read: reconstruction.read });
  } finally {
    await reconstruction.close();
  }
}

async function encode(
  readable: ReadablePair,
  start: number,
  end: number,
  prediction: ExactInput['prediction'],
): Promise<EncodedTerm> {
  const term = await encodeExactRows(exactInput(readable, start, end, prediction));
  return start === 0 && end === readable.pair.rows ? term : { ...term, rows: [start, end] };
}

/** Rows [start, end) as encoders of exact terms take them. */
function exactInput(
  { pair, readFineTuned, runtime }: ReadablePair,
  start: number,
  end: number,
  prediction: ExactInput['prediction'],
): ExactInput {
  const { dtype } = pair.fineTuned;
  const rowByteLength = (pair.columns * DTYPES[dtype].bits) / 8;
  const offset = start * rowByteLength;
  return {
    dtype,
    rowCount: end - start,
    columns: pair.columns,
    rowByteLength,
    read: (byteOffset, byteLength) => readFineTuned(offset + byteOffset, byteLength),
    ...(prediction === undefined
      ? {}
      : {
          prediction: {
            kind: prediction.kind,
            read: (byteOffset: number, byteLength: number) =>
              prediction.read(offset + byteOffset, byteLength),
          },
        }),
    kernels: runtime.kernels,
  };
}

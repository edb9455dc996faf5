/**
 * Rows of a tensor at even distances, in stretches, as encoders of exact terms take them: what all rows take is
 * estimated from them.
 */
import { DTYPES, type FloatDtype, isFloatDtype } from '../../formats/dtype.js';
import type { ExactInput } from '../codecs/codec.js';
import type { SampledInput } from '../codecs/estimate-exact.js';
import type { ReadablePair } from './analyse-tensor.js';

/** Stretches of rows; the first quarter of them, spread like the rest, teaches the coder. */
const STRETCHES = 16;
const WARM_UP_EVERY = 4;
/** Share of the rows that is sampled, and the least number of elements. */
const SAMPLE_SHARE = 1 / 16;
const SAMPLE_ELEMENTS = 1 << 16;

/** Which of some rows are in the sample. */
export interface SampledPlace {
  /** First rows of the stretches, those of the warm-up before the others; a single stretch where it is all rows. */
  readonly starts: readonly number[];
  readonly rowsEach: number;
  /** 0 where the sample is all rows. */
  readonly warmUpRows: number;
  /** Rows that are not in the sample. */
  readonly otherRows: number;
}

/** The sample of rows [start, end). */
export function sampledPlace(start: number, end: number, columns: number): SampledPlace {
  const count = end - start;
  const wanted = Math.max(count * SAMPLE_SHARE, SAMPLE_ELEMENTS / columns);
  const rowsEach = Math.ceil(wanted / STRETCHES);
  if (2 * rowsEach * STRETCHES > count) {
    return { starts: [start], rowsEach: count, warmUpRows: 0, otherRows: 0 };
  }
  const starts = Array.from(
    { length: STRETCHES },
    (_, i) => start + Math.floor((i * (count - rowsEach)) / (STRETCHES - 1)),
  );
  const isWarmUp = (i: number): boolean => i % WARM_UP_EVERY === WARM_UP_EVERY >> 1;
  const warmUp = starts.filter((_, i) => isWarmUp(i));
  return {
    starts: [...warmUp, ...starts.filter((_, i) => !isWarmUp(i))],
    rowsEach,
    warmUpRows: warmUp.length * rowsEach,
    otherRows: count - rowsEach * STRETCHES,
  };
}

/** Bytes of the sampled rows, one stretch behind the other. */
export async function readSampledRows(
  { starts, rowsEach }: SampledPlace,
  rowByteLength: number,
  read: (byteOffset: number, byteLength: number) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const byteLength = rowsEach * rowByteLength;
  const bytes = new Uint8Array(starts.length * byteLength);
  for (const [i, start] of starts.entries())
    bytes.set(await read(start * rowByteLength, byteLength), i * byteLength);
  return bytes;
}

/** The sampled rows, all in memory. */
export interface SampledRows {
  readonly rowCount: number;
  readonly columns: number;
  readonly fineTuned: Uint8Array;
  /** In the dtype of the base; undefined where the base has none of the rows. */
  readonly base: Uint8Array | undefined;
}

/** @param place in rows that the base has or lacks as a whole */
export async function takeSampledRows(readable: ReadablePair, place: SampledPlace): Promise<SampledRows> {
  const { pair, readFineTuned, readBase } = readable;
  const { columns, commonRows } = pair;
  const rowBytes = (dtype: keyof typeof DTYPES): number => (columns * DTYPES[dtype].bits) / 8;
  const isCommon = place.starts[0]! < commonRows;
  const hasBase = isCommon && pair.base !== undefined && readBase !== undefined;
  return {
    rowCount: place.starts.length * place.rowsEach,
    columns,
    fineTuned: await readSampledRows(place, rowBytes(pair.fineTuned.dtype), readFineTuned),
    base: hasBase ? await readSampledRows(place, rowBytes(pair.base.dtype), readBase) : undefined,
  };
}

/**
 * The sample as input of exact encoders, predicted as encodeRowsExactly does it.
 * @param approximation of the residual, rows × columns, where terms lie under the exact one
 */
export function sampledInput(
  { pair, runtime }: ReadablePair,
  place: SampledPlace,
  { rowCount, columns, fineTuned, base }: SampledRows,
  approximation?: Float32Array,
): SampledInput {
  const { dtype } = pair.fineTuned;
  const { kernels } = runtime;
  const input: ExactInput = {
    dtype,
    rowCount,
    columns,
    rowByteLength: (columns * DTYPES[dtype].bits) / 8,
    read: async (offset, length) => fineTuned.slice(offset, offset + length),
    kernels,
  };
  const { warmUpRows, otherRows } = place;
  const sampled: SampledInput = {
    ...input,
    warmUpRows,
    otherShare: otherRows / Math.max(1, rowCount - warmUpRows),
  };
  if (base === undefined || pair.base === undefined) return sampled;
  const baseDtype = pair.base.dtype;
  if (dtype === baseDtype && approximation === undefined) {
    const read: NonNullable<ExactInput['prediction']>['read'] = async (offset, length) => ({
      bytes: base.slice(offset, offset + length),
    });
    return { ...sampled, prediction: { kind: 'base', read } };
  }
  if (!isFloatDtype(dtype) || !isFloatDtype(baseDtype)) return sampled;
  const elements = rowCount * columns;
  return {
    ...sampled,
    prediction: reconstruction([dtype, baseDtype], base, elements, kernels, approximation),
  };
}

/** The prediction that decoders compute: base + approximation, and the same rounded. */
function reconstruction(
  [dtype, baseDtype]: readonly [FloatDtype, FloatDtype],
  base: Uint8Array,
  elements: number,
  kernels: ExactInput['kernels'],
  approximation: Float32Array = new Float32Array(elements).fill(-0),
): NonNullable<ExactInput['prediction']> {
  const width = DTYPES[dtype].bits / 8;
  const bytes = new Uint8Array(elements * width);
  const values = new Float32Array(elements);
  kernels.addAndRound(dtype, baseDtype, base, approximation, bytes);
  kernels.addAndRound('F32', baseDtype, base, approximation, new Uint8Array(values.buffer));
  return {
    kind: 'reconstruction',
    read: async (offset, length) => ({
      bytes: bytes.slice(offset, offset + length),
      ...(width < 4 ? { values: values.slice(offset / width, (offset + length) / width) } : {}),
    }),
  };
}

/**
 * Codec "interval" (docs/spec/interval.md): values coded exactly, given a prediction, by an adaptive range
 * coder whose contexts are the expected spread over the spacing of representable values. Contexts carry
 * over from chunk to chunk, so rows are decoded from the first on.
 */
import { type Dtype, isFloatDtype } from '../../formats/dtype.js';
import {
  elementLayout,
  hasIntervalLayout,
  type IntervalDecoder,
  type IntervalModel,
  type IntervalPrediction,
  MAX_CODED_COLUMNS,
  MAX_PAYLOAD_BYTES,
} from '../kernels/interval-model.js';
import type { Codec, EncodedTerm, ExactDecoder, ExactInput, PredictedRows, TermContext } from './codec.js';
import { chooseIntervalModel, DROP_VIOLATED, holdsDrop } from './interval-parameters.js';
import { booleanParam, choiceParam, codecError, expectChunks, integerParam } from './params.js';

/** Most bytes of elements in a chunk: small against what a payload may hold, large against its entry in the index. */
const CHUNK_BYTE_LENGTH = 2 << 20;

/** Rows of a tensor as the coder sees them: C64 as pairs, and rows that are too long cut. */
interface CodedRows {
  /** Bytes of a row of the tensor. */
  readonly rowByteLength: number;
  /** Coded rows in a row of the tensor. */
  readonly perRow: number;
  /** Columns of a coded row; the last one of a row may have fewer. */
  readonly columns: number;
  readonly codedByteLength: number;
}

function codedRowsOf(dtype: Dtype, rowByteLength: number): CodedRows {
  const { byteLength } = elementLayout(dtype);
  const elements = rowByteLength / byteLength;
  const columns = Math.min(Math.max(elements, 1), MAX_CODED_COLUMNS);
  const perRow = Math.max(1, Math.ceil(elements / MAX_CODED_COLUMNS));
  return { rowByteLength, perRow, columns, codedByteLength: columns * byteLength };
}

/** Coded rows of equal length, next to each other. */
interface Run {
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly columns: number;
  /** Number of the first coded row, over the whole term. */
  readonly first: number;
  readonly count: number;
}

/** Cuts bytes [start, end), which begin and end with coded rows, into runs that do not cross a chunk. */
function* runs(coded: CodedRows, start: number, end: number, chunkRows: number): Generator<Run> {
  const { rowByteLength, perRow, columns, codedByteLength } = coded;
  for (let offset = start; offset < end; ) {
    const row = Math.floor(offset / rowByteLength);
    const inRow = (offset - row * rowByteLength) / codedByteLength;
    const first = row * perRow + inRow;
    const toChunkEnd = chunkRows - (first % chunkRows);
    const remaining = end - offset;
    let byteLength: number;
    if (perRow === 1) {
      byteLength = Math.min(remaining, toChunkEnd * rowByteLength);
    } else {
      // Whole coded rows of one row, then its shorter last one.
      const whole = Math.floor(((row + 1) * rowByteLength - offset) / codedByteLength);
      byteLength =
        whole > 0
          ? Math.min(Math.floor(remaining / codedByteLength), whole, toChunkEnd) * codedByteLength
          : (row + 1) * rowByteLength - offset;
    }
    const isShort = byteLength < codedByteLength;
    const count = isShort ? 1 : byteLength / codedByteLength;
    const elementByteLength = codedByteLength / columns;
    yield {
      byteOffset: offset,
      byteLength,
      columns: isShort ? byteLength / elementByteLength : columns,
      first,
      count,
    };
    offset += byteLength;
  }
}

/** The prediction of a run out of that of the bytes from `start` on. */
function part(
  prediction: PredictedRows | undefined,
  run: Run,
  start: number,
): IntervalPrediction | undefined {
  if (prediction === undefined) return undefined;
  const from = run.byteOffset - start;
  const to = from + run.byteLength;
  const elements = prediction.bytes.subarray(from, to);
  if (prediction.values === undefined) return { elements };
  const width = prediction.bytes.byteLength / prediction.values.length;
  return { elements, values: prediction.values.subarray(from / width, to / width) };
}

/** Encodes rows with an adaptive model of their difference to the prediction; undefined for packed dtypes. */
export async function encodeInterval(input: ExactInput): Promise<EncodedTerm | undefined> {
  if (!hasIntervalLayout(input.dtype)) return undefined;
  const { model, predict } = await chooseIntervalModel(input);
  const term = await encodeWith(input, model, predict);
  if (term !== DROP_VIOLATED) return term;
  return (await encodeWith(input, { ...model, drop: 0 }, predict)) as EncodedTerm | undefined;
}

/**
 * Bytes that rows take which are coded one part after another by one coder, so that each but the first finds it taught
 * by those before: what a sample of many rows is measured with.
 * @param ends of the parts, in rows; the last is the row count
 * @returns by part; undefined where encodeInterval is
 */
export async function measureInterval(
  input: ExactInput,
  ends: readonly number[],
): Promise<number[] | undefined> {
  if (!hasIntervalLayout(input.dtype)) return undefined;
  const { rowByteLength, read, prediction, kernels } = input;
  const { model, predict } = await chooseIntervalModel(input);
  const coded = codedRowsOf(input.dtype, rowByteLength);
  const chunkRows = chunkRowsOf(coded);
  const byteLengths: number[] = [];
  const whole = await read(0, input.rowCount * rowByteLength);
  const encoder = kernels.intervalEncoder(holdsDrop(whole, model.drop) ? model : { ...model, drop: 0 });
  let start = 0;
  for (const end of ends) {
    let byteLength = 0; // A part of no rows has no payload.
    for (const run of runs(coded, start * rowByteLength, end * rowByteLength, chunkRows)) {
      const rows = predict ? await prediction?.read(run.byteOffset, run.byteLength) : undefined;
      const values = whole.subarray(run.byteOffset, run.byteOffset + run.byteLength);
      encoder.encode(values, part(rows, run, run.byteOffset), run.columns);
      const next = run.first + run.count;
      if (next % chunkRows !== 0 && next !== end * coded.perRow) continue;
      const bytes = encoder.finish();
      if (bytes === undefined) return undefined;
      byteLength += bytes.byteLength;
    }
    byteLengths.push(byteLength);
    start = end;
  }
  return byteLengths;
}

/** Coded rows in a chunk: a power of two, so that the parameters of one model's tensors are alike. */
function chunkRowsOf({ codedByteLength }: CodedRows): number {
  return 1 << (31 - Math.clz32(Math.max(1, CHUNK_BYTE_LENGTH / codedByteLength)));
}

async function encodeWith(
  input: ExactInput,
  model: IntervalModel,
  predict: boolean,
): Promise<EncodedTerm | typeof DROP_VIOLATED | undefined> {
  const { dtype, rowCount, rowByteLength, read, prediction, kernels } = input;
  const coded = codedRowsOf(dtype, rowByteLength);
  const chunkRows = chunkRowsOf(coded);
  const encoder = kernels.intervalEncoder(model);
  const chunks: { bytes: Uint8Array; squaredErrorDrop: number }[] = [];
  const total = rowCount * coded.perRow;
  for (const run of runs(coded, 0, rowCount * rowByteLength, chunkRows)) {
    const values = await read(run.byteOffset, run.byteLength);
    if (!holdsDrop(values, model.drop)) return DROP_VIOLATED;
    const rows = predict ? await prediction?.read(run.byteOffset, run.byteLength) : undefined;
    encoder.encode(values, part(rows, run, run.byteOffset), run.columns);
    const next = run.first + run.count;
    if (next % chunkRows !== 0 && next !== total) continue;
    const bytes = encoder.finish();
    if (bytes === undefined) return undefined;
    chunks.push({ bytes, squaredErrorDrop: 0 });
  }
  const { unit, skip, means, drop } = model;
  const kind = predict && prediction !== undefined ? prediction.kind : 'none';
  return { codec: intervalCodec.id, params: { predict: kind, chunkRows, unit, skip, means, drop }, chunks };
}

export const intervalCodec: Codec = {
  id: 'interval',
  async open(context): Promise<ExactDecoder> {
    const { dtype, rowCount, rowByteLength, kernels } = context;
    const predict = choiceParam(context, 'predict', ['none', 'base', 'reconstruction']);
    const chunkRows = integerParam(context, 'chunkRows', 1, 2 ** 31 - 1);
    const model = readModel(context);
    const coded = codedRowsOf(dtype, rowByteLength);
    expectChunks(context, Math.ceil((rowCount * coded.perRow) / chunkRows));
    let decoder: IntervalDecoder | undefined;
    let payload: Uint8Array | undefined;
    let position = 0;

    return {
      kind: 'exact',
      prediction: predict,
      isSequential: true,
      async decode(byteOffset, prediction, out) {
        if (byteOffset !== position) {
          throw new RangeError(`expected the bytes from ${position} on, got a request for ${byteOffset}`);
        }
        decoder ??= kernels.intervalDecoder(model);
        for (const run of runs(coded, byteOffset, byteOffset + out.byteLength, chunkRows)) {
          if (run.first % chunkRows === 0) {
            if (payload !== undefined) context.release?.(payload);
            payload = await readPayload(context, run.first / chunkRows);
            decoder.begin(payload);
          }
          const from = run.byteOffset - byteOffset;
          const target = out.subarray(from, from + run.byteLength);
          decoder.decode(part(prediction, run, byteOffset), target, run.columns);
        }
        position += out.byteLength;
      },
      close: () => {
        decoder = undefined;
      },
    };
  },
};

function readModel(context: TermContext): IntervalModel {
  const { dtype, rowByteLength } = context;
  if (!hasIntervalLayout(dtype)) throw codecError(context, `cannot hold ${dtype}`);
  const isSingle = (isFloatDtype(dtype) || dtype === 'C64') && elementLayout(dtype).byteLength === 4;
  return {
    dtype,
    columns: codedRowsOf(dtype, rowByteLength).columns,
    unit: integerParam(context, 'unit', -1000, 800),
    skip: integerParam(context, 'skip', 0, 2) as IntervalModel['skip'],
    means: booleanParam(context, 'means'),
    drop: integerParam(context, 'drop', 0, isSingle ? 23 : 0),
  };
}

/** Chunk of range-coded values. @throws CodecError when it is absent or too long */
export async function readPayload(context: TermContext, chunk: number): Promise<Uint8Array> {
  const payload = await context.chunk(chunk);
  if (payload === undefined) throw codecError(context, `chunk ${chunk} of the term is not in the archive`);
  if (payload.byteLength > MAX_PAYLOAD_BYTES) {
    throw codecError(
      context,
      `chunk ${chunk} of the term: expected at most ${MAX_PAYLOAD_BYTES} bytes, found ${payload.byteLength}`,
    );
  }
  return payload;
}

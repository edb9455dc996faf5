/**
 * A few rows of a residual, spread over it, on which the cost of coding its bulk is measured: the model of
 * Gaussian components knows neither heavy tails nor uneven rows and columns, which cost less.
 */
import type { TrellisStates } from '../codecs/coded-low-rank.js';
import type { LowRankFactors } from '../codecs/low-rank.js';
import type { Kernels } from '../kernels/kernels.js';
import type { MatrixStream } from '../linalg/matrix-stream.js';

export interface ResidualSample {
  readonly rows: number;
  readonly columns: number;
  /** Row-major. */
  readonly values: Float32Array;
  /** Row i of the sample is row i · stride of the residual. */
  readonly stride: number;
  /** Column of the residual by column of the sample. */
  readonly columnIndex: Uint32Array;
  /** Rows at the start that are coded, but only teach the coder. */
  readonly warmUpRows: number;
}

/** Rows and columns of a sample: 512 KB. */
const SAMPLE_ROWS = 128;
const SAMPLE_COLUMNS = 1024;
/** The coder looks at columns in groups of so many. */
const COLUMN_GROUP = 16;
/**
 * Of 128 rows the first 48 only teach: the coder's averages of a column have nearly settled by then. A residual
 * that is sampled whole, or that has hardly more rows, is learnt from as it is coded.
 */
const WARM_UP_ROWS = 48;
const WARM_UP_SHARE = 16;

/** Reads the residual once. */
export async function sampleRows(stream: MatrixStream): Promise<ResidualSample> {
  const stride = Math.max(1, Math.floor(stream.rows / SAMPLE_ROWS));
  const rows = Math.min(SAMPLE_ROWS, Math.ceil(stream.rows / stride));
  const columnIndex = sampledColumns(stream.columns);
  const columns = columnIndex.length;
  const values = new Float32Array(rows * columns);
  for await (const { start, matrix } of stream.blocks()) {
    const last = Math.min(rows, Math.ceil((start + matrix.rows) / stride));
    for (let row = Math.ceil(start / stride); row < last; row++) {
      const offset = (row * stride - start) * stream.columns;
      for (let j = 0; j < columns; j++) values[row * columns + j] = matrix.data[offset + columnIndex[j]!]!;
    }
  }
  const warmUpRows = stream.rows >= WARM_UP_SHARE * SAMPLE_ROWS ? WARM_UP_ROWS : 0;
  return { rows, columns, values, stride, columnIndex, warmUpRows };
}

/** Groups of columns at even distances; all of them where they are few. */
function sampledColumns(columns: number): Uint32Array {
  if (columns <= SAMPLE_COLUMNS) return Uint32Array.from({ length: columns }, (_, j) => j);
  const groups = SAMPLE_COLUMNS / COLUMN_GROUP;
  const distance = Math.floor(columns / groups);
  return Uint32Array.from(
    { length: SAMPLE_COLUMNS },
    (_, j) => Math.floor(j / COLUMN_GROUP) * distance + (j % COLUMN_GROUP),
  );
}

/**
 * The sample without the leading components of R · diag(√columnWeights).
 * @param rank components to subtract, as far as `svd` has them
 */
export function subtractComponents(
  sample: ResidualSample,
  svd: LowRankFactors,
  rank: number,
  columnWeights: Float32Array | undefined,
): ResidualSample {
  const count = Math.min(rank, svd.singularValues.length);
  if (count === 0) return sample;
  const { rows, columns, columnIndex, stride } = sample;
  const values = sample.values.slice();
  const right = new Float32Array(columns);
  for (let k = 0; k < count; k++) {
    for (const [j, column] of columnIndex.entries()) {
      const weight = columnWeights === undefined ? 1 : columnWeights[column]!;
      right[j] = weight > 0 ? svd.v[k * svd.columns + column]! / Math.sqrt(weight) : 0;
    }
    for (let row = 0; row < rows; row++) {
      const left = svd.singularValues[k]! * svd.u[k * svd.rows + row * stride]!;
      for (let j = 0, i = row * columns; j < columns; j++, i++) values[i] = values[i]! - left * right[j]!;
    }
  }
  return { ...sample, values };
}

export interface MeasureOptions {
  /** Quantiser step in weight units. */
  readonly step: number;
  /** Cost of a bit in squared steps. */
  readonly lambda: number;
  readonly denseStates: TrellisStates;
  /** Weight of the squared error in a column of the residual; default 1. */
  readonly columnWeights?: Float32Array | undefined;
}

export interface MeasuredSample {
  /** Bits per entry. */
  readonly bits: number;
  /** Squared error per entry, weighted. */
  readonly squaredError: number;
  /** Squared value per entry, weighted. */
  readonly energy: number;
}

/** What the dense coder takes and leaves at a step, per entry of the sample behind its warm-up. */
export function measureSample(
  sample: ResidualSample,
  { step, lambda, denseStates, columnWeights }: MeasureOptions,
  kernels: Kernels,
): MeasuredSample {
  const { rows, columns, values, warmUpRows } = sample;
  const encoder = kernels.createMatrixEncoder({ columns, states: denseStates });
  const weights = columnWeights && Float32Array.from(sample.columnIndex, (j) => columnWeights[j]!);
  const inverse = 1 / step;
  const scaled = values.map((value) => value * inverse);
  const codes = new Int16Array(values.length);
  const encodeRows = (first: number, count: number): Uint8Array => {
    const range = [first * columns, (first + count) * columns] as const;
    encoder.encodeRows({
      values: scaled.subarray(...range),
      rows: count,
      lambda,
      codes: codes.subarray(...range),
      ...(weights === undefined ? {} : { columnWeights: weights }),
    });
    return encoder.endChunk();
  };
  try {
    if (warmUpRows > 0) encodeRows(0, warmUpRows);
    const { byteLength } = encodeRows(warmUpRows, rows - warmUpRows);
    let energy = 0;
    let squaredError = 0;
    for (let row = warmUpRows; row < rows; row++) {
      for (let j = 0; j < columns; j++) {
        const weight = weights === undefined ? 1 : weights[j]!;
        const value = values[row * columns + j]!;
        energy += weight * value ** 2;
        squaredError += weight * (value - 0.5 * step * codes[row * columns + j]!) ** 2;
      }
    }
    const entries = (rows - warmUpRows) * columns;
    return {
      bits: (8 * byteLength) / entries,
      squaredError: squaredError / entries,
      energy: energy / entries,
    };
  } finally {
    encoder.free();
  }
}

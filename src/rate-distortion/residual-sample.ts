/**
 * A few rows of a residual, spread over it, on which the cost of coding its bulk is measured: the model of
 * Gaussian components knows neither heavy tails nor uneven rows and columns, which cost less.
 */
import type { TrellisStates } from '../codecs/coded-low-rank.js';
import type { LowRankFactors } from '../codecs/low-rank.js';
import type { Kernels } from '../kernels/kernels.js';
import type { MatrixStream } from '../linalg/matrix-stream.js';

export interface ResidualSample extends SamplePlace {
  /** Row-major. */
  readonly values: Float32Array;
}

/** Where a sample was taken, and what it was compared with: a fifth of its bytes. */
export interface SamplePlace {
  readonly rows: number;
  readonly columns: number;
  /** Row of the residual by row of the sample, ascending. */
  readonly rowIndex: Uint32Array;
  /** Column of the residual by column of the sample. */
  readonly columnIndex: Uint32Array;
  /** Rows at the start that are coded, but only teach the coder. */
  readonly warmUpRows: number;
  /** The leading components of the residual at these rows and columns. */
  readonly components: SampledComponents;
}

export interface SampledComponents {
  readonly count: number;
  /** −σ_k u_k, count × rows. */
  readonly left: Float32Array;
  /** v_k, count × columns. */
  readonly right: Float32Array;
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

/**
 * Rows at even distances in the order of their norms, so that a few strong rows among many weak ones have the share
 * that is theirs. Reads the residual twice.
 * @param svd leading components of R · diag(√columnWeights)
 */
export async function sampleRows(
  stream: MatrixStream,
  { svd, columnWeights }: { readonly svd: LowRankFactors; readonly columnWeights?: Float32Array | undefined },
  kernels: Kernels,
): Promise<ResidualSample> {
  const rowIndex = await rowsByNorm(stream, kernels);
  const columnIndex = sampledColumns(stream.columns);
  const [rows, columns] = [rowIndex.length, columnIndex.length];
  const warmUpRows = stream.rows >= WARM_UP_SHARE * SAMPLE_ROWS ? WARM_UP_ROWS : 0;
  const components = sampleComponents(svd, rowIndex, columnIndex, columnWeights);
  const place: SamplePlace = { rows, columns, rowIndex, columnIndex, warmUpRows, components };
  const values = new Float32Array(rows * columns);
  let row = 0;
  for await (const { start, matrix } of stream.blocks()) {
    for (; row < rows && rowIndex[row]! < start + matrix.rows; row++) {
      const offset = (rowIndex[row]! - start) * stream.columns;
      pickColumns(place, row, matrix.data.subarray(offset, offset + stream.columns), values);
    }
  }
  return { ...place, values };
}

/**
 * The sample that was taken at a place, with its values read again.
 * @param readRow reads one row of the residual
 */
export async function resample(
  place: SamplePlace,
  readRow: (row: number) => Promise<Float32Array>,
): Promise<ResidualSample> {
  const values = new Float32Array(place.rows * place.columns);
  for (const [row, index] of place.rowIndex.entries()) pickColumns(place, row, await readRow(index), values);
  return { ...place, values };
}

function pickColumns(
  { columns, columnIndex }: SamplePlace,
  row: number,
  whole: Float32Array,
  values: Float32Array,
): void {
  for (let j = 0; j < columns; j++) values[row * columns + j] = whole[columnIndex[j]!]!;
}

/** The sampled rows, ascending. */
async function rowsByNorm(stream: MatrixStream, kernels: Kernels): Promise<Uint32Array> {
  const { rows, columns } = stream;
  const all = Uint32Array.from({ length: rows }, (_, i) => i);
  if (rows <= SAMPLE_ROWS) return all;
  const energies = new Float64Array(rows);
  for await (const { start, matrix } of stream.blocks()) {
    for (let i = 0; i < matrix.rows; i++) {
      const row = matrix.data.subarray(i * columns, (i + 1) * columns);
      energies[start + i] = kernels.statistics(row).sumOfSquares;
    }
  }
  all.sort((x, y) => energies[x]! - energies[y]! || x - y);
  return Uint32Array.from(
    { length: SAMPLE_ROWS },
    (_, i) => all[Math.floor(((i + 0.5) * rows) / SAMPLE_ROWS)]!,
  ).sort();
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

function sampleComponents(
  svd: LowRankFactors,
  rowIndex: Uint32Array,
  columnIndex: Uint32Array,
  columnWeights: Float32Array | undefined,
): SampledComponents {
  const count = svd.singularValues.length;
  const left = new Float32Array(count * rowIndex.length);
  const right = new Float32Array(count * columnIndex.length);
  for (let k = 0; k < count; k++) {
    for (const [i, row] of rowIndex.entries()) {
      left[k * rowIndex.length + i] = -svd.singularValues[k]! * svd.u[k * svd.rows + row]!;
    }
    for (const [j, column] of columnIndex.entries()) {
      const weight = columnWeights === undefined ? 1 : columnWeights[column]!;
      const value = svd.v[k * svd.columns + column]!;
      right[k * columnIndex.length + j] = weight > 0 ? value / Math.sqrt(weight) : 0;
    }
  }
  return { count, left, right };
}

/** The last result of subtractComponents: steps that are close to one another ask for the same. */
const remainders = new WeakMap<
  ResidualSample,
  { readonly count: number; readonly remainder: ResidualSample }
>();

/** The sample without the leading components. @param rank how many, as far as they are known */
export function subtractComponents(sample: ResidualSample, rank: number, kernels: Kernels): ResidualSample {
  const { rows, columns, components } = sample;
  const count = Math.min(rank, components.count);
  if (count === 0) return sample;
  const known = remainders.get(sample);
  if (known?.count === count) return known.remainder;
  const values = sample.values.slice();
  kernels.gemm({
    transposeA: true,
    m: rows,
    n: columns,
    k: count,
    a: components.left.subarray(0, count * rows),
    b: components.right.subarray(0, count * columns),
    c: values,
    accumulate: true,
  });
  const remainder = { ...sample, values };
  remainders.set(sample, { count, remainder });
  return remainder;
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
  /** The same without weights. */
  readonly plainSquaredError: number;
  readonly plainEnergy: number;
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
  const codes = new Int16Array(values.length);
  const encodeRows = (first: number, count: number): Uint8Array => {
    const range = [first * columns, (first + count) * columns] as const;
    encoder.encodeRows({
      values: values.subarray(...range),
      factor: inverse,
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
    let [energy, plainEnergy] = [0, 0];
    let [squaredError, plainSquaredError] = [0, 0];
    for (let row = warmUpRows; row < rows; row++) {
      for (let j = 0; j < columns; j++) {
        const weight = weights === undefined ? 1 : weights[j]!;
        const value = values[row * columns + j]!;
        const squared = value ** 2;
        const left = (value - 0.5 * step * codes[row * columns + j]!) ** 2;
        energy += weight * squared;
        plainEnergy += squared;
        squaredError += weight * left;
        plainSquaredError += left;
      }
    }
    const entries = (rows - warmUpRows) * columns;
    return {
      bits: (8 * byteLength) / entries,
      squaredError: squaredError / entries,
      energy: energy / entries,
      plainSquaredError: plainSquaredError / entries,
      plainEnergy: plainEnergy / entries,
    };
  } finally {
    encoder.free();
  }
}

/** Dense float32 matrices, row-major without padding: element (i, j) is `data[i · columns + j]`. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  /** Exactly rows · columns elements; may be a view into a larger buffer. */
  readonly data: Float32Array;
}

/** A zero matrix, or a view of `data` as one. Throws RangeError when `data` has another length. */
export function createMatrix(
  rows: number,
  columns: number,
  data: Float32Array = new Float32Array(rows * columns),
): Matrix {
  assertDimension('rows', rows);
  assertDimension('columns', columns);
  if (data.length !== rows * columns) {
    throw new RangeError(
      `expected ${rows * columns} elements for a ${rows} × ${columns} matrix, got ${data.length}`,
    );
  }
  return { rows, columns, data };
}

/** Rows [start, end) as a view, without a copy. */
export function rowRange(matrix: Matrix, start: number, end: number): Matrix {
  const { columns } = matrix;
  return { rows: end - start, columns, data: matrix.data.subarray(start * columns, end * columns) };
}

/** [a, b] as a new matrix: m × (j + k) of m × j and m × k. */
export function besideColumns(a: Matrix, b: Matrix): Matrix {
  const { rows } = a;
  if (b.rows !== rows) throw new RangeError(`expected ${rows} rows on both sides, got ${b.rows}`);
  const columns = a.columns + b.columns;
  const result = createMatrix(rows, columns);
  for (let row = 0; row < rows; row++) {
    result.data.set(rowRange(a, row, row + 1).data, row * columns);
    result.data.set(rowRange(b, row, row + 1).data, row * columns + a.columns);
  }
  return result;
}

/** Aᵀ as a new matrix, moved in square tiles so that both sides stay in the first-level cache. */
export function transpose(matrix: Matrix): Matrix {
  const tile = 32; // 2 · 32² floats = 8 KiB
  const { rows, columns, data } = matrix;
  const result = createMatrix(columns, rows);
  const target = result.data;
  for (let rowTile = 0; rowTile < rows; rowTile += tile) {
    const rowEnd = Math.min(rowTile + tile, rows);
    for (let columnTile = 0; columnTile < columns; columnTile += tile) {
      const columnEnd = Math.min(columnTile + tile, columns);
      for (let j = columnTile; j < columnEnd; j++) {
        for (let i = rowTile; i < rowEnd; i++) target[j * rows + i] = data[i * columns + j];
      }
    }
  }
  return result;
}

/** Σ a_ij², accumulated in float64 in a fixed order. */
export function squaredNorm(matrix: Matrix): number {
  const { data } = matrix;
  const tail = data.length & ~3;
  let sum0 = 0;
  let sum1 = 0;
  let sum2 = 0;
  let sum3 = 0;
  for (let i = 0; i < tail; i += 4) {
    sum0 += data[i] * data[i];
    sum1 += data[i + 1] * data[i + 1];
    sum2 += data[i + 2] * data[i + 2];
    sum3 += data[i + 3] * data[i + 3];
  }
  for (let i = tail; i < data.length; i++) sum0 += data[i] * data[i];
  return sum0 + sum1 + (sum2 + sum3);
}

/** Throws RangeError unless `value` is a non-negative integer. */
export function assertDimension(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`expected ${name} to be an integer ≥ 0, got ${value}`);
}

/** Eigenvalues and eigenvectors of small symmetric matrices, in float64, by ml-matrix (tred2 and tql2 of EISPACK). */
import { Matrix as DenseMatrix, EigenvalueDecomposition } from 'ml-matrix';

export interface SymmetricEigen {
  /** Descending; length n. */
  readonly values: Float64Array;
  /** n × n, row-major; column i belongs to values[i]. */
  readonly vectors: Float64Array;
}

/** Of a symmetric n × n matrix, row-major; O(n³), about 5 n³ nanoseconds. */
export function symmetricEigen(matrix: Float64Array, size: number): SymmetricEigen {
  const values = new Float64Array(size);
  const vectors = new Float64Array(size * size);
  if (size === 0) return { values, vectors };
  const dense = DenseMatrix.from1DArray(size, size, matrix as unknown as number[]);
  const eigen = new EigenvalueDecomposition(dense, { assumeSymmetric: true });
  const ascending = eigen.realEigenvalues;
  const columns = eigen.eigenvectorMatrix;
  for (let i = 0; i < size; i++) values[i] = ascending[size - 1 - i];
  for (let row = 0; row < size; row++) {
    for (let i = 0; i < size; i++) vectors[row * size + i] = columns.get(row, size - 1 - i);
  }
  return { values, vectors };
}

/** The coders of matrices (docs/spec/matrix-coder.md, docs/spec/ans-coder.md): what implementations of the kernels give. */

/** Of a matrix coder; encoder and decoder must agree. */
export interface MatrixCoderOptions {
  /** Columns of the matrix, at most 2^24. */
  readonly columns: number;
  /** States of the trellis of dependent quantisation; 1, the default, is scalar quantisation. */
  readonly states?: 1 | 4 | 8;
}

/** The next rows of a matrix to encode, whole. */
export interface RowsEncodeRequest {
  /** rows × columns, in units of the quantiser's step. NaN counts as 0. */
  readonly values: Float32Array;
  /** Values are first multiplied by it, a float32, each product rounded to float32; default 1. */
  readonly factor?: number;
  readonly rows: number;
  /** Cost of a bit in squared steps: the codes minimise Σ weight · error² + lambda · bits, nearly. ≥ 0. */
  readonly lambda: number;
  /**
   * Out, rows × columns: the reconstruction in half steps, |code| ≤ 32766. With one state every code
   * is even.
   */
  readonly codes: Int16Array;
  /** columns, ≥ 0: weight of the squared error in a column; default 1. */
  readonly columnWeights?: Float32Array;
}

/** The next rows of a matrix to encode. */
export interface MatrixEncodeRequest extends RowsEncodeRequest {
  /** Columns before it are 0 in these rows and take no bits; their values are not read. Default 0. */
  readonly firstColumn?: number;
}

/**
 * Quantises a matrix row by row and entropy-codes it. The models learn over the whole matrix; a chunk is a piece of it that
 * decodes after the chunks before it.
 */
export interface RowsEncoder {
  encodeRows(request: RowsEncodeRequest): void;
  /** The bytes of the rows since the last chunk. The next row begins a new chunk. */
  endChunk(): Uint8Array;
  /** Gives the coder's memory back; other calls then throw TypeError. Optional: it is ordinary memory. */
  free(): void;
}

/** The inverse of RowsEncoder. Any bytes decode, to some codes: what lies past their end is 0. */
export interface RowsDecoder {
  /** Continues with the rows of the next chunk. */
  beginChunk(bytes: Uint8Array): void;
  /** The next rows of the chunk; out: rows × columns half steps, |out| ≤ 32766. */
  decodeRows(rows: number, out: Int16Array): void;
  /** As in RowsEncoder. */
  free(): void;
}

/** By adaptive binary decisions, docs/spec/matrix-coder.md. */
export interface MatrixEncoder extends RowsEncoder {
  encodeRows(request: MatrixEncodeRequest): void;
}

export interface MatrixDecoder extends RowsDecoder {
  /** @param firstColumn as encoded; default 0 */
  decodeRows(rows: number, out: Int16Array, firstColumn?: number): void;
}

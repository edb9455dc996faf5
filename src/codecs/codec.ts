/**
 * The codec contract. A codec turns one term of a tensor into chunks and back; its exact arithmetic
 * is normative and stands in docs/spec/codecs.md. Additive codecs contribute to the float32 residual
 * of a row block; exact codecs give the bytes of the rows themselves.
 */
import type { Dtype, FloatDtype } from '../../formats/dtype.js';
import type { ArchiveTerm } from '../../formats/ere/archive-index.js';
import type { DecodeKernels, Kernels } from '../kernels/kernels.js';

/** What a decoder of one term is given. */
export interface TermContext {
  readonly term: ArchiveTerm;
  /** Name of the archive and the tensor, for messages. */
  readonly subject: string;
  /** Rows of the matrix view that the term covers. */
  readonly rowCount: number;
  /** Columns of the matrix view. */
  readonly columns: number;
  /** Dtype of the decoded tensor. */
  readonly dtype: Dtype;
  /** Bytes of one row of the decoded tensor. */
  readonly rowByteLength: number;
  readonly kernels: DecodeKernels;
  /** Bytes of chunk i of the term, checked; undefined when a cut or truncated archive does not have it. */
  chunk(i: number): Promise<Uint8Array | undefined>;
  /** To be told of bytes of `chunk` that are read no more: their memory is used again. */
  release?(bytes: Uint8Array): void;
}

/** Contributes to the residual. Rows are relative to the start of the term. */
export interface AdditiveDecoder {
  readonly kind: 'additive';
  /** Whether rows have to be asked for from the first on, without gaps. */
  readonly isSequential: boolean;
  /** Reads what `accumulate` needs for the rows [startRow, startRow + rows), and may drop what is for others. */
  prepare(startRow: number, rows: number): Promise<void>;
  /**
   * Adds prepared rows into `residual` (rows × columns, row-major), in ascending order. At once: `residual`
   * may be the kernels' own memory.
   */
  accumulate(startRow: number, rows: number, residual: Float32Array): void;
  /**
   * Where the term is all of the residual, for codecs that can do it faster: out = base + residual, rounded to `dtype`, of
   * prepared rows, in one pass and with the same bytes.
   * @returns how many of the first rows are done; the others of `out` then hold anything
   */
  addAndRound?(dtype: FloatDtype, startRow: number, rows: number, base: Uint8Array, out: Uint8Array): number;
  close(): void;
}

/**
 * What an exact term is coded against: nothing, the base's bytes of the same place, or the bytes that the
 * terms before it give, which for a float tensor without any are the base's values in the tensor's dtype.
 */
export type Prediction = 'none' | 'base' | 'reconstruction';

/** The prediction of some rows. */
export interface PredictedRows {
  /** Elements of the tensor's dtype. */
  readonly bytes: Uint8Array;
  /**
   * f32(base + R̂) before it was rounded to `bytes`; for float dtypes of fewer than 32 bits, where the
   * rows are computed from additive terms or from a base of another dtype.
   */
  readonly values?: Float32Array | undefined;
}

/** Gives the bytes of rows. Offsets are relative to the start of the term. */
export interface ExactDecoder {
  readonly kind: 'exact';
  /** What `decode` needs of the same place. */
  readonly prediction: Prediction;
  /** Whether every row has to be decoded for those behind it, so that no later term may hide any. */
  readonly isSequential: boolean;
  /**
   * Fills `out` with the bytes from `byteOffset` on, asked for in ascending order (without gaps where `isSequential`): whole rows,
   * or multiples of PIECE_BYTE_LENGTH from the start of a row that is longer.
   * @param prediction as many bytes as `out`, apart from it; undefined for 'none'
   */
  decode(byteOffset: number, prediction: PredictedRows | undefined, out: Uint8Array): Promise<void>;
  close(): void;
}

/** Bytes given out at a time of rows that are longer. */
export const PIECE_BYTE_LENGTH = 4 << 20;

export type TermDecoder = AdditiveDecoder | ExactDecoder;

export interface Codec {
  /** Name in the archive. */
  readonly id: string;
  /** @throws CodecError when parameters or payload break the codec's rules. */
  open(context: TermContext): Promise<TermDecoder>;
}

/** A term as an encoder made it, not yet placed in an archive. */
export interface EncodedTerm {
  readonly codec: string;
  readonly rows?: readonly [number, number];
  readonly params: Readonly<Record<string, unknown>>;
  /** Payload, with what each chunk takes off the squared error (0 for exact terms); orders progressive archives. */
  readonly chunks: readonly { readonly bytes: Uint8Array; readonly squaredErrorDrop: number }[];
  /** Of an exact term that is part of a lossy tensor: what all of it takes off the squared error. */
  readonly squaredErrorDrop?: number;
}

/** Reads bytes of the rows that a term covers, offsets relative to the first; in ascending order within a pass. */
export type ReadBytes = (byteOffset: number, byteLength: number) => Promise<Uint8Array>;

/** The same for a prediction. */
export type ReadPrediction = (byteOffset: number, byteLength: number) => Promise<PredictedRows>;

/** Rows to be coded exactly, and what a decoder will know of them. */
export interface ExactInput {
  readonly dtype: Dtype;
  readonly rowCount: number;
  readonly columns: number;
  /** Bytes of one row: a whole number. */
  readonly rowByteLength: number;
  readonly read: ReadBytes;
  /** Absent where there is nothing to predict from. */
  readonly prediction?: { readonly kind: Exclude<Prediction, 'none'>; readonly read: ReadPrediction };
  readonly kernels: Kernels;
}

/** Codes rows exactly; undefined when the codec does not apply to them. */
export type ExactEncoder = (input: ExactInput) => Promise<EncodedTerm | undefined>;

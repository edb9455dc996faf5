/**
 * The codec contract. A codec turns one term of a tensor into chunks and back; its exact arithmetic
 * is normative and stands in docs/spec/codecs.md. Additive codecs contribute to the float32 residual
 * of a row block; exact codecs give the bytes of the rows themselves.
 */
import type { ArchiveTerm } from '../../formats/ere/archive-index.js';
import type { Kernels } from '../kernels/kernels.js';

/** What a decoder of one term is given. */
export interface TermContext {
  readonly term: ArchiveTerm;
  /** Name of the archive and the tensor, for messages. */
  readonly subject: string;
  /** Rows of the matrix view that the term covers. */
  readonly rowCount: number;
  /** Columns of the matrix view. */
  readonly columns: number;
  /** Bytes of one row of the decoded tensor. */
  readonly rowByteLength: number;
  readonly kernels: Kernels;
  /** Bytes of chunk `term.chunks[i]`, checked; undefined when it lies behind the cut of a truncated archive. */
  chunk(i: number): Promise<Uint8Array | undefined>;
}

/** Contributes to the residual. Rows are relative to the start of the term. */
export interface AdditiveDecoder {
  readonly kind: 'additive';
  /** Adds rows [startRow, startRow + rows) into `residual` (rows × columns, row-major). */
  accumulate(startRow: number, rows: number, residual: Float32Array): Promise<void>;
  close(): void;
}

/** Gives the bytes of rows. Offsets are relative to the start of the term. */
export interface ExactDecoder {
  readonly kind: 'exact';
  /** Whether `decode` needs the base's bytes of the same place. */
  readonly needsBase: boolean;
  /**
   * Fills `out` with the bytes from `byteOffset` on, asked for in ascending order. Offset and length are
   * whole rows, or multiples of 8 bytes from the start of one.
   */
  decode(byteOffset: number, base: Uint8Array | undefined, out: Uint8Array): Promise<void>;
  close(): void;
}

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
}

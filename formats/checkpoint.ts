/**
 * What every checkpoint format is read into: named tensors over one or more weight files,
 * and the small files that travel with a model.
 */
import type { Dtype } from './dtype.js';

export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly byteLength: number;
  /** Index into Checkpoint.files. */
  readonly file: number;
  /** Byte offset of the data in that file. */
  readonly byteOffset: number;
}

/** One file of weights. */
export interface WeightFile {
  /** Path relative to the model folder, POSIX separators; the base name for a single file. */
  readonly path: string;
  readonly byteLength: number;
  /** Everything before the tensor data, verbatim (safetensors: length prefix and JSON). */
  readonly header: Uint8Array;
}

/** A file of the model folder that holds no weights: config, tokenizer, chat template, … */
export interface SideFile {
  /** Path relative to the model folder, POSIX separators. */
  readonly path: string;
  readonly byteLength: number;
  read(): Promise<Uint8Array>;
}

export interface Checkpoint {
  /** Path or URL, for messages. */
  readonly location: string;
  readonly files: readonly WeightFile[];
  /** By name, in the order of the files and of the data in them. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly sideFiles: readonly SideFile[];
  /** Files of the folder that are neither weights nor small enough to carry, with the reason. */
  readonly skippedFiles: readonly { readonly path: string; readonly reason: string }[];
  /**
   * Reads bytes of one tensor: all of it, or `byteLength` bytes from `byteOffset` (relative to the tensor).
   * @param room memory of that length, which may be used and returned
   */
  read(name: string, byteOffset?: number, byteLength?: number, room?: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

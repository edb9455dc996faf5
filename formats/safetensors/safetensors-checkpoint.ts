/** A Checkpoint over open safetensors files, wherever their bytes come from. */
import { assertRange } from '../byte-source.js';
import type { Checkpoint, SideFile, TensorInfo, WeightFile } from '../checkpoint.js';
import { FormatError, NotFoundError, quoteName } from '../errors.js';
import type { SafetensorsFile } from './open-safetensors.js';

/** One file of a checkpoint, under its path in the model folder. */
export interface Shard {
  readonly path: string;
  readonly file: SafetensorsFile;
}

export interface SafetensorsCheckpointOptions {
  /** Path or URL, for messages. */
  readonly location: string;
  /** In the order of Checkpoint.files. */
  readonly shards: readonly Shard[];
  readonly sideFiles?: readonly SideFile[];
  readonly skippedFiles?: Checkpoint['skippedFiles'];
  /** Closes the sources; default: nothing to close. */
  readonly close?: () => Promise<void>;
}

/**
 * Joins files into one checkpoint.
 * @throws FormatError on a tensor that is in two files
 */
export function safetensorsCheckpoint(options: SafetensorsCheckpointOptions): Checkpoint {
  const { location, shards, sideFiles = [], skippedFiles = [] } = options;
  const files: WeightFile[] = [];
  const tensors = new Map<string, TensorInfo>();
  for (const [fileIndex, { path, file }] of shards.entries()) {
    files.push({ path, byteLength: file.source.byteLength, header: file.headerBytes });
    for (const { name, dtype, shape, dataOffsets } of file.header.tensors) {
      const other = tensors.get(name);
      if (other !== undefined) {
        const message = `the tensor is also in ${shards[other.file].file.source.name}; name one of the files instead`;
        throw new FormatError('safetensors', message, { file: file.source.name, tensor: name });
      }
      const [begin, end] = dataOffsets;
      const byteOffset = file.header.byteLength + begin;
      tensors.set(name, { name, dtype, shape, byteLength: end - begin, file: fileIndex, byteOffset });
    }
  }
  return {
    location,
    files,
    tensors,
    sideFiles,
    skippedFiles,
    async read(name, byteOffset = 0, byteLength, room) {
      const tensor = tensors.get(name);
      if (tensor === undefined) throw new NotFoundError(`${location}: no tensor ${quoteName(name)}`);
      const length = byteLength ?? tensor.byteLength - byteOffset;
      assertRange(`${location}, tensor ${quoteName(name)}`, tensor.byteLength, byteOffset, length);
      return shards[tensor.file].file.source.read(tensor.byteOffset + byteOffset, length, room);
    },
    close: options.close ?? (async () => {}),
  };
}

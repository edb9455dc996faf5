/**
 * `ere/web`: archives decoded in a page. The same WebAssembly kernels and the same digests as in Node; bytes come by
 * range requests, from files that the user chose, or from anywhere; Web Workers decode where there are any.
 *
 * @packageDocumentation
 */
export { type ByteSource, bytesSource } from '../../formats/byte-source.js';
export type { Checkpoint } from '../../formats/checkpoint.js';
export type {
  ArchiveIndex,
  ArchiveTensor,
  ArchiveWeightFile,
  Digest,
} from '../../formats/ere/archive-index.js';
export type { Archive } from '../../formats/ere/open-archive.js';
export { EreError, type EreErrorCode, isEreError } from '../../formats/errors.js';
export type { DecodedTensor, Progress } from '../residual/api.js';
export { decode, type WebDecodeOptions } from './decode.js';
export { type DecodeFileOptions, decodeFile } from './decode-file.js';
export { type HttpSourceOptions, httpSource } from './http-source.js';
export { openArchive } from './open-archive.js';
export { openBase } from './open-base.js';
export { blobSource, type WebSource } from './open-source.js';

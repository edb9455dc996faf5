/**
 * Readers and writers of the formats that ERE works on: pure functions from bytes to typed structures and
 * back, over a ByteSource. No file system, no network, no dependencies.
 *
 * @packageDocumentation
 */
export { type ByteSource, bytesSource } from './byte-source.js';
export type { Checkpoint, SideFile, TensorInfo, WeightFile } from './checkpoint.js';
export { DTYPES, type Dtype, elementCount, isDtype, isFloatDtype, tensorByteLength } from './dtype.js';
export type {
  ArchiveIndex,
  ArchiveQuality,
  ArchiveSideFile,
  ArchiveTensor,
  ArchiveTerm,
  ArchiveWeightFile,
  Digest,
} from './ere/archive-index.js';
export { checkpointIdentity } from './ere/identity.js';
export { type Archive, type OpenArchiveOptions, openArchive } from './ere/open-archive.js';
export { archiveBytes, ChunkCollector, layoutArchive } from './ere/write-archive.js';
export { LIMITS } from './limits.js';
export { openSafetensors, type SafetensorsFile } from './safetensors/open-safetensors.js';
export { parseSafetensorsHeader, type SafetensorsHeader } from './safetensors/parse-header.js';
export { safetensorsCheckpoint } from './safetensors/safetensors-checkpoint.js';
export { serializeSafetensorsHeader } from './safetensors/serialize-header.js';
export { parseShardIndex, serializeShardIndex } from './safetensors/shard-index.js';

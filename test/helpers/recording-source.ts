/** A byte source in memory that records what is read from it, for tests of I/O. */
import { type ByteSource, bytesSource } from '../../formats/byte-source.js';

export interface RecordingSource extends ByteSource {
  /** [offset, byteLength] of every read, in order. */
  readonly reads: [offset: number, byteLength: number][];
}

export function recordingSource(name: string, bytes: Uint8Array): RecordingSource {
  const source = bytesSource(name, bytes);
  const reads: [number, number][] = [];
  return {
    name,
    byteLength: source.byteLength,
    reads,
    read(offset, length) {
      reads.push([offset, length]);
      return source.read(offset, length);
    },
  };
}

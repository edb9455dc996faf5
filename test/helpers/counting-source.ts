/** A ByteSource that records what is read through it. */
import type { ByteSource } from '../../formats/byte-source.js';

export interface CountingSource extends ByteSource {
  /** [offset, length] of every read, in order. */
  readonly reads: readonly (readonly [offset: number, length: number])[];
}

export function countingSource(source: ByteSource): CountingSource {
  const reads: [number, number][] = [];
  return {
    name: source.name,
    byteLength: source.byteLength,
    reads,
    read(offset, length) {
      reads.push([offset, length]);
      return source.read(offset, length);
    },
  };
}

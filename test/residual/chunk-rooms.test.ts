/** Memory for chunks is used again, and only that which was made for it. */
import { expect, test } from 'vitest';
import type { Archive } from '../../formats/ere/open-archive.js';
import { ChunkRooms } from '../../src/residual/chunk-rooms.js';

const LENGTH = 100;

/** An archive of chunks of 100 bytes, each filled with its number; the first lies in memory that its source keeps. */
function archiveOf(kept: Uint8Array): Archive {
  const archive: Pick<Archive, 'chunkOffset' | 'hasChunk' | 'readChunk'> = {
    chunkOffset: (chunk) => chunk * LENGTH,
    hasChunk: () => true,
    readChunk: async (chunk, room) => (chunk === 0 ? kept : room!.subarray(0, LENGTH).fill(chunk)),
  };
  return archive as Archive;
}

test('memory of a chunk is used again for another', async () => {
  const rooms = new ChunkRooms(archiveOf(new Uint8Array(LENGTH)));
  const first = await rooms.read(1);
  rooms.release(first);
  expect((await rooms.read(2)).buffer).toBe(first.buffer);
});

test('what a source keeps is not written to after it was released', async () => {
  const kept = new Uint8Array(LENGTH).fill(7);
  const rooms = new ChunkRooms(archiveOf(kept));
  rooms.release(await rooms.read(0));
  expect(await rooms.read(1)).toEqual(new Uint8Array(LENGTH).fill(1));
  expect(kept).toEqual(new Uint8Array(LENGTH).fill(7));
});

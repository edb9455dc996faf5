/** Archives made to do harm: whatever the bytes, only our errors, soon, and without much memory. */
import { crc32, deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openArchive } from '../../../formats/ere/open-archive.js';
import { EreError, LimitError } from '../../../formats/errors.js';
import { buildArchive, smallIndex } from '../../helpers/archive-builder.js';
import { recordingSource } from '../../helpers/recording-source.js';

/** Opens the archive and reads everything in it; resolves to what was thrown, if anything. */
async function readAll(bytes: Uint8Array, allowTruncated = false): Promise<unknown> {
  const source = recordingSource('a.ere', bytes);
  try {
    const archive = await openArchive(source, { allowTruncated });
    for (const { header } of archive.index.files) await archive.readBlob(header);
    for (const { content } of archive.index.sideFiles) if (content) await archive.readBlob(content);
    for (let i = 0; i < archive.index.chunks.length; i++) await archive.readChunk(i);
    return undefined;
  } catch (error) {
    return error;
  } finally {
    for (const [offset, length] of source.reads) expect(offset + length).toBeLessThanOrEqual(bytes.length);
  }
}

/** Sets the prelude's and the index's checksum right, so that what is behind them is reached. */
function withChecksums(bytes: Uint8Array): Uint8Array {
  const fixed = Buffer.from(bytes);
  const storedEnd = Math.min(40 + fixed.readUInt32LE(12), fixed.length);
  fixed.writeUInt32LE(crc32(fixed.subarray(40, storedEnd)), 20);
  fixed.writeUInt32LE(crc32(fixed.subarray(0, 36)), 36);
  return new Uint8Array(fixed);
}

describe('hostile bytes', () => {
  it('random bytes throw only our errors', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (bytes, withMagic) => {
        const magic = withMagic ? [0x89, 0x45, 0x52, 0x45, 0x31, 0x0d, 0x0a, 0x1a] : [];
        expect(await readAll(Uint8Array.of(...magic, ...bytes))).toBeInstanceOf(EreError);
      }),
      { numRuns: 300 },
    );
  });

  const stored = buildArchive();
  const chunkBytes = stored.subarray(stored.length - 21);
  const json = stored.subarray(40, stored.length - 21);
  const deflated = withChecksums(
    buildArchive({
      index: new Uint8Array(deflateRawSync(json)),
      indexEncoding: 1,
      indexByteLength: json.length,
      chunks: [chunkBytes],
    }),
  );

  it('the valid archives behind these tests are valid', async () => {
    expect(await readAll(stored)).toBe(undefined);
    expect(await readAll(deflated)).toBe(undefined);
  });

  it('any flipped bit is noticed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(stored, deflated), fc.nat(), fc.nat(7), async (valid, at, bit) => {
        const bytes = valid.slice();
        bytes[at % bytes.length] ^= 1 << bit;
        expect(await readAll(bytes)).toBeInstanceOf(EreError);
      }),
      { numRuns: 300 },
    );
  });

  it('changed bytes under right checksums throw only our errors, or are a valid archive', async () => {
    const change = fc.tuple(fc.nat(), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(stored, deflated),
        fc.array(change, { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        async (valid, changes, allowTruncated) => {
          const bytes = valid.slice();
          for (const [at, value] of changes) bytes[8 + (at % (bytes.length - 8))] = value;
          const error = await readAll(withChecksums(bytes), allowTruncated);
          expect(error === undefined || error instanceof EreError).toBe(true);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('any JSON in place of any field throws only our errors, or is a valid archive', async () => {
    const fields = Object.keys(smallIndex()).concat('chunks', 'extensions');
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...fields), fc.jsonValue(), async (field, value) => {
        const error = await readAll(buildArchive({ index: { ...smallIndex(), [field]: value } }));
        expect(error === undefined || error instanceof EreError).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

it('an index of millions of empty objects is refused before it is parsed', async () => {
  const index = new TextEncoder().encode(`{"tensors":[${'{},'.repeat(4_000_000)}{}]}`);
  const error = await readAll(buildArchive({ index, chunks: [] }));
  expect(error).toBeInstanceOf(LimitError);
  expect((error as LimitError).actual).toBe(4_000_003);
});

describe('a kilobyte that claims to be huge', () => {
  const kilobyte = new Uint8Array(1000);
  const huge = {
    ...smallIndex(),
    chunks: [
      [2 ** 27, 0],
      [12, 0],
      [3, 0],
    ],
  };
  const shapes = smallIndex();
  Object.assign(shapes.tensors[0], { shape: [2 ** 50], columns: 2 ** 50 });
  const columns = smallIndex();
  Object.assign(columns.tensors[0], { columns: 2 ** 52 });

  for (const [what, bytes] of [
    [
      'an index of 4 GiB',
      buildArchive({ index: kilobyte, chunks: [], indexEncoding: 1, indexByteLength: 2 ** 32 - 1 }),
    ],
    [
      'an index of 100 MB',
      buildArchive({ index: kilobyte, chunks: [], indexEncoding: 1, indexByteLength: 1e8 }),
    ],
    [
      'a stored index of 4 GiB',
      buildArchive({ index: kilobyte, chunks: [], indexStoredByteLength: 2 ** 32 - 1 }),
    ],
    ['an archive of 2^53 bytes', buildArchive({ archiveByteLength: 2n ** 53n - 1n })],
    ['a chunk of 128 MiB', buildArchive({ index: huge, archiveByteLength: 2n ** 27n })],
    ['a tensor of 2^50 elements', buildArchive({ index: shapes })],
    ['a matrix of 2^52 columns', buildArchive({ index: columns })],
  ] as const) {
    it(`${what}: allocates nothing of the kind`, async () => {
      const before = process.memoryUsage();
      expect(await readAll(bytes)).toBeInstanceOf(EreError);
      expect(await readAll(bytes, true)).toBeInstanceOf(EreError);
      const after = process.memoryUsage();
      expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(4_000_000);
    });
  }
});

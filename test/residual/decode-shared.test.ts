/** Tensors that all threads decode together: the same bytes as on one thread, and the same errors. */
import { once } from 'node:events';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tensorByteLength } from '../../formats/dtype.js';
import { openArchive } from '../../formats/ere/open-archive.js';
import { openFileSource } from '../../src/io/file-source.js';
import { openCheckpoint } from '../../src/io/open-checkpoint.js';
import {
  type DecodeArchiveInput,
  decodeArchive,
  fileWorkers,
  startFileWorkers,
} from '../../src/residual/decode-archive.js';
import { selectUsable } from '../../src/residual/select-tensors.js';
import { GOLDEN_ARCHIVES, goldenPath } from '../helpers/golden.js';
import { withTempFolder } from '../helpers/temp-folder.js';

interface Decoded {
  readonly bytes: Buffer;
  readonly digests: readonly string[];
}

/** Decodes an archive into one file, tensors one behind the other. */
async function decodeAll(
  archivePath: string,
  basePath: string,
  fields: Partial<Omit<DecodeArchiveInput, 'workers'>> &
    Pick<DecodeArchiveInput, 'options'> & { readonly workers?: Partial<DecodeArchiveInput['workers']> },
): Promise<Decoded> {
  const source = await openFileSource(archivePath);
  const base = await openCheckpoint(basePath);
  try {
    const archive = await openArchive(source, { allowTruncated: true });
    let end = 0;
    const placements = archive.index.tensors.map(({ dtype, shape }, tensor) => {
      const outputOffset = end;
      end += tensorByteLength(dtype, shape)!;
      return { tensor, output: 0, outputOffset };
    });
    return await withTempFolder(async (folder) => {
      const output = join(folder, 'out');
      await writeFile(output, new Uint8Array(end).fill(255));
      const results = await decodeArchive({
        archive,
        base,
        outputs: [output],
        placements,
        selection: selectUsable(archive, 'best'),
        phase: 'decode',
        ...fields,
        workers: { ...fileWorkers(archivePath, archive, basePath), ...fields.workers },
      });
      return { bytes: await readFile(output), digests: results.map(({ digest }) => digest) };
    });
  } finally {
    await base.close();
    await source.close();
  }
}

test.each(GOLDEN_ARCHIVES.map(({ name }) => name))(
  '%s: shared by three threads in small blocks, the bytes are those of one thread',
  async (name) => {
    const [archive, base] = [goldenPath(name, 'archive.ere'), goldenPath(name, 'base')];
    const alone = await decodeAll(archive, base, { options: { threads: 1 } });
    const shared = { sharedByteLength: 1, blockElements: 40 };
    expect(await decodeAll(archive, base, { ...shared, options: { threads: 3 } })).toEqual(alone);
  },
);

test('some tensors shared and the others alone, every one is reported once', async () => {
  const seen: string[] = [];
  const done: number[] = [];
  await decodeAll(goldenPath('every-case', 'archive.ere'), goldenPath('every-case', 'base'), {
    sharedByteLength: 4096,
    blockElements: 100,
    options: {
      threads: 2,
      onProgress: ({ tensor, doneByteLength }) => {
        seen.push(tensor);
        done.push(doneByteLength);
      },
    },
  });
  expect(new Set(seen).size).toBe(seen.length);
  expect([...done].sort((x, y) => x - y)).toEqual(done);
});

test('another base is refused, by the tensor that differs', async () => {
  await withTempFolder(async (folder) => {
    const path = join(folder, 'model.safetensors');
    await copyFile(join(goldenPath('dense', 'base'), 'model.safetensors'), path);
    const bytes = await readFile(path);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(path, bytes);
    const decoding = decodeAll(goldenPath('dense', 'archive.ere'), path, {
      sharedByteLength: 1,
      blockElements: 40,
      options: { threads: 2 },
    });
    await expect(decoding).rejects.toMatchObject({ code: 'ERE_CHECKPOINT_MISMATCH' });
  });
});

test('a damaged chunk is refused though other blocks are under way', async () => {
  await withTempFolder(async (folder) => {
    const path = join(folder, 'archive.ere');
    const bytes = await readFile(goldenPath('coded', 'archive.ere'));
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(path, bytes);
    const decoding = decodeAll(path, goldenPath('coded', 'base'), {
      sharedByteLength: 1,
      blockElements: 40,
      options: { threads: 2 },
    });
    await expect(decoding).rejects.toMatchObject({ code: 'ERE_INTEGRITY' });
  });
});

test('threads that were started before the archive was read give the same bytes', async () => {
  const [archive, base] = [goldenPath('every-case', 'archive.ere'), goldenPath('every-case', 'base')];
  const alone = await decodeAll(archive, base, { options: { threads: 1 } });
  const started = startFileWorkers({ byteLength: 4 << 20 }, { threads: 3 });
  expect(await decodeAll(archive, base, { options: { threads: 3 }, workers: { started } })).toEqual(alone);
  expect(started.take()).toBeUndefined();
});

test('threads are started for archives of 4 MiB on, one fewer than there are to be, and four at most', async () => {
  for (const [byteLength, threads, count] of [
    [(4 << 20) - 1, 8, 0],
    [4 << 20, 1, 0],
    [4 << 20, 3, 2],
    [1e9, 64, 4],
  ] as const) {
    const started = startFileWorkers({ byteLength }, { threads });
    const ends: Promise<unknown>[] = [];
    for (let worker = started.take(); worker !== undefined; worker = started.take()) {
      ends.push(once(worker, 'exit'));
      worker.postMessage({ kind: 'stop' });
    }
    expect(await Promise.all(ends)).toEqual(Array.from({ length: count }, () => [0]));
  }
});

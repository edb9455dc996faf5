/** A folder of archives whose files the system refuses for a while, and what is remembered of bases. */
import { copyFile, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openArchive } from '../../formats/ere/open-archive.js';
import { IoError } from '../../formats/errors.js';
import { KNOWN_CODECS } from '../../src/codecs/known-codecs.js';
import * as fileSources from '../../src/io/file-source.js';
import { inflateAtOnce } from '../../src/io/inflate-at-once.js';
import { openArchiveCatalog } from '../../src/serve/archive-catalog.js';
import { findArchiveBase, KnownDigests } from '../../src/serve/find-archive-base.js';
import { restoredModels } from '../helpers/serve-setting.js';

vi.mock('../../src/io/file-source.js', { spy: true });

const withModels = restoredModels();
const { openFileSource } = fileSources;
const { openFileSource: openReally } = await vi.importActual<typeof fileSources>(
  '../../src/io/file-source.js',
);

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => {
  vi.useRealTimers();
  vi.mocked(openFileSource).mockReset();
});

test.each([
  ['refuses', new IoError('chat.ere: cannot open: too many open files (EMFILE)')],
  ['fails at in a way that nobody thought of', new RangeError('unexpected')],
])('an archive that opening %s is warned of once, and there when it can be read', async (_, error) => {
  await withModels(async ({ base, archives }) => {
    const warnings: string[] = [];
    const catalogOptions = { threads: 1, decodeMemory: 2 ** 30, folder: archives, bases: [base] };
    let refused = 0;
    vi.mocked(openFileSource).mockImplementation(async (path) => {
      if (path.endsWith('chat.ere') && refused++ < 2) throw error;
      return openReally(path);
    });
    const onWarning = (message: string) => void warnings.push(message);
    const catalog = await openArchiveCatalog({ ...catalogOptions, onWarning });
    try {
      const names = async () => (await catalog.models()).map(({ name }) => name);
      expect(await names()).toEqual(['user/sharded']);
      vi.advanceTimersByTime(2001);
      expect(await names()).toEqual(['user/sharded']);
      vi.advanceTimersByTime(2001);
      expect(await names()).toEqual(['chat', 'user/sharded']);
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toContain('chat.ere');
      expect(warnings[0]).toContain(error.message);
    } finally {
      await catalog.close();
    }
  });
});

test('tensors of a base are hashed once while its files stay the same, for all archives', async () => {
  await withModels(async ({ base, archives }, folder) => {
    const hashed = vi.spyOn(KnownDigests.prototype, 'digestOf');
    const known = new KnownDigests();
    const find = async (name: string) => {
      const source = await openFileSource(join(archives, name));
      try {
        const archive = await openArchive(source, { codecs: KNOWN_CODECS, inflate: inflateAtOnce });
        hashed.mockClear();
        const found = await findArchiveBase(archive, { bases: [base] }, known);
        expect(found).toBe(base);
        return hashed.mock.calls.length;
      } finally {
        await source.close();
      }
    };
    expect(await find('chat.ere')).toBeGreaterThan(0);
    expect(await find('chat.ere')).toBe(0);
    expect(await find('user/sharded.ere')).toBe(0);
    const weights = join(base, 'model.safetensors');
    await utimes(weights, new Date(), new Date());
    expect(await find('chat.ere')).toBeGreaterThan(0);
    expect(await find('chat.ere')).toBe(0);
    // Another base in its place is not taken for it.
    await copyFile(join(folder, 'tune3', 'model.safetensors'), weights);
    await expect(find('chat.ere')).rejects.toThrow('is not at hand');
  });
});

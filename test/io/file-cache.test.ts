/** A folder of files that are made when they are wanted: made once, so many at a time, of bounded size. */
import { readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IoError, LimitError } from '../../formats/errors.js';
import {
  CacheBusyError,
  type CacheItem,
  FileCache,
  type FileCacheOptions,
  type Want,
} from '../../src/io/file-cache.js';
import { withTempFolder } from '../helpers/temp-folder.js';

interface Maker {
  readonly item: CacheItem;
  /** Times that it was begun. */
  readonly begun: number;
  /** Ends one making. */
  finish(error?: Error): void;
}

/** An item that is made when the test says so, before it was begun or after. */
function maker(key: string, byteLength: number, weight?: number): Maker {
  const outcomes: (Error | undefined)[] = [];
  const state = {
    begun: 0,
    item: {
      key,
      byteLength,
      ...(weight !== undefined && { weight }),
      async make(path: string) {
        state.begun++;
        while (outcomes.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
        const error = outcomes.shift();
        if (error !== undefined) throw error;
        await writeFile(path, contentOf(key, byteLength));
      },
    },
    finish(error?: Error) {
      outcomes.push(error);
    },
  };
  return state;
}

/** An item that is made at once. */
function ready(key: string, byteLength: number, onMake = () => {}): CacheItem {
  return {
    key,
    byteLength,
    async make(path) {
      onMake();
      await writeFile(path, contentOf(key, byteLength));
    },
  };
}

function contentOf(key: string, byteLength: number): Buffer {
  return Buffer.from(key.repeat(Math.ceil(byteLength / key.length)).slice(0, byteLength));
}

async function withCache(
  options: Partial<FileCacheOptions>,
  use: (cache: FileCache, folder: string) => Promise<void>,
): Promise<void> {
  await withTempFolder(async (folder) => {
    const cache = await FileCache.open({ folder, maxByteLength: 100, concurrency: 2, ...options });
    try {
      await use(cache, folder);
    } finally {
      await cache.close();
    }
    expect(await readdir(folder)).toEqual([]);
  });
}

async function read(want: Want, byteOffset: number, byteLength: number): Promise<string> {
  const room = new Uint8Array(byteLength);
  await want.read(byteOffset, room);
  return Buffer.from(room).toString();
}

/** Wants, reads all of it and lets go. */
async function readOnce(cache: FileCache, item: CacheItem): Promise<void> {
  const want = cache.want(item);
  try {
    expect(await read(want, 0, item.byteLength)).toBe(contentOf(item.key, item.byteLength).toString());
  } finally {
    want.release();
  }
}

/** Lets everything that is ready to go on do so. */
async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setTimeout(resolve, 2));
}

describe('making', () => {
  test('once for many wants, and again for none that come later', async () => {
    await withCache({}, async (cache) => {
      const a = maker('a', 10);
      const wants = [cache.want(a.item), cache.want(a.item), cache.want(a.item)];
      const reads = wants.map((want, i) => read(want, i, 2));
      await settle();
      a.finish();
      expect(await Promise.all(reads)).toEqual(['aa', 'aa', 'aa']);
      for (const want of wants) want.release();
      await readOnce(cache, a.item);
      expect(a.begun).toBe(1);
      expect(cache.stats).toMatchObject({ hitCount: 1, missCount: 3, fileCount: 1, byteLength: 10 });
    });
  });

  test('so many at a time as the concurrency says, in the order in which they were wanted', async () => {
    await withCache({ concurrency: 2 }, async (cache) => {
      const makers = ['a', 'b', 'c', 'd'].map((key) => maker(key, 5));
      const wants = makers.map(({ item }) => cache.want(item));
      await settle();
      await expect.poll(() => makers.map(({ begun }) => begun)).toEqual([1, 1, 0, 0]);
      await expect.poll(() => cache.stats).toMatchObject({ makingCount: 2, waitingCount: 2 });
      makers[1]!.finish();
      await settle();
      await expect.poll(() => makers.map(({ begun }) => begun)).toEqual([1, 1, 1, 0]);
      makers[0]!.finish();
      makers[2]!.finish();
      await settle();
      makers[3]!.finish();
      expect(await Promise.all(wants.map((want) => read(want, 4, 1)))).toEqual(['a', 'b', 'c', 'd']);
    });
  });

  test('a heavy one takes the share of several, however heavy it is, and of weight 0 none', async () => {
    await withCache({ concurrency: 3 }, async (cache) => {
      const [light, heavy, after] = [maker('a', 5), maker('b', 5, 99), maker('c', 5)];
      const wants = [light, heavy, after].map(({ item }) => cache.want(item));
      await settle();
      // What comes after does not overtake: it could else do so for ever.
      await expect.poll(() => [light.begun, heavy.begun, after.begun]).toEqual([1, 0, 0]);
      light.finish();
      await settle();
      await expect.poll(() => [heavy.begun, after.begun]).toEqual([1, 0]);
      const weightless = maker('d', 5, 0);
      const beside = cache.want(weightless.item);
      await settle();
      heavy.finish();
      await settle();
      await expect.poll(() => [after.begun, weightless.begun]).toEqual([1, 1]);
      after.finish();
      weightless.finish();
      for (const want of [...wants, beside]) await read(want, 0, 5);
    });
  });

  test('what fails is told to all who wait, leaves no file, and is tried again by the next who wants it', async () => {
    await withCache({}, async (cache, folder) => {
      const a = maker('a', 10);
      const [first, second] = [cache.want(a.item), cache.want(a.item)];
      const reads = Promise.allSettled([read(first, 0, 1), read(second, 0, 1)]);
      await settle();
      a.finish(new Error('no luck'));
      for (const outcome of await reads) expect(outcome).toMatchObject({ reason: { message: 'no luck' } });
      expect(cache.stats).toMatchObject({ byteLength: 0, fileCount: 0, makingCount: 0 });
      const [own] = await readdir(folder);
      expect(await readdir(join(folder, own!))).toEqual([]);
      const third = read(cache.want(a.item), 0, 3);
      await settle();
      a.finish();
      expect(await third).toBe('aaa');
      expect(a.begun).toBe(2);
    });
  });

  test('a file shorter than was said fails whoever reads behind its end', async () => {
    await withCache({}, async (cache) => {
      const item: CacheItem = { key: 'a', byteLength: 10, make: (path) => writeFile(path, 'short') };
      const want = cache.want(item);
      await expect(read(want, 0, 10)).rejects.toBeInstanceOf(IoError);
      want.release();
    });
  });
});

describe('letting go', () => {
  test('what waits and nobody wants any more is not made; what is being made is finished and kept', async () => {
    await withCache({ concurrency: 1 }, async (cache) => {
      const [a, b] = [maker('a', 10), maker('b', 10)];
      const [first, second] = [cache.want(a.item), cache.want(b.item)];
      const reading = read(second, 0, 1);
      first.release();
      second.release();
      await expect(reading).rejects.toThrow('nobody waits');
      expect(cache.stats.waitingCount).toBe(0);
      await settle();
      a.finish();
      await settle();
      await expect.poll(() => [a.begun, b.begun]).toEqual([1, 0]);
      await expect.poll(() => cache.stats).toMatchObject({ byteLength: 10, fileCount: 1 });
    });
  });

  test('of one of several who want it does not matter, and twice is once', async () => {
    await withCache({ concurrency: 1 }, async (cache) => {
      const [a, b] = [maker('a', 10), maker('b', 10)];
      cache.want(a.item);
      const [first, second] = [cache.want(b.item), cache.want(b.item)];
      first.release();
      first.release();
      await settle();
      a.finish();
      await settle();
      b.finish();
      expect(await read(second, 0, 2)).toBe('bb');
    });
  });
});

describe('the limit', () => {
  test('what was used longest ago makes room', async () => {
    await withCache({ maxByteLength: 30 }, async (cache) => {
      const counts = new Map<string, number>();
      const item = (key: string) => ready(key, 10, () => counts.set(key, (counts.get(key) ?? 0) + 1));
      for (const key of ['a', 'b', 'c', 'a', 'd', 'a', 'c', 'b']) await readOnce(cache, item(key));
      expect(Object.fromEntries(counts)).toEqual({ a: 1, b: 2, c: 1, d: 1 });
      expect(cache.stats).toMatchObject({ byteLength: 30, evictedCount: 2 });
    });
  });

  test('what is larger than all of it is refused at once', async () => {
    await withCache({ maxByteLength: 30 }, async (cache) => {
      expect(() => cache.want(ready('a', 31))).toThrow(LimitError);
      await readOnce(cache, ready('b', 30));
    });
  });

  test('what waits for room is made when readers have gone, and none is dropped under a reader', async () => {
    await withCache({ maxByteLength: 10 }, async (cache) => {
      const [a, b] = [maker('a', 10), maker('b', 10)];
      const [first, second] = [cache.want(a.item), cache.want(b.item)];
      const reads = [read(first, 0, 10), read(second, 0, 10)];
      await settle();
      await expect.poll(() => [a.begun, b.begun]).toEqual([1, 0]);
      a.finish();
      expect(await reads[0]).toBe('aaaaaaaaaa');
      await settle();
      b.finish();
      expect(await reads[1]).toBe('bbbbbbbbbb');
      // Dropped, and made again for whoever wanted it before.
      const again = read(first, 9, 1);
      await settle();
      a.finish();
      expect(await again).toBe('a');
      expect(a.begun).toBe(2);
    });
  });

  test('so many may wait; the next is told to come later', async () => {
    await withCache({ concurrency: 1, maxWaiting: 2 }, async (cache) => {
      const makers = ['a', 'b', 'c', 'd'].map((key) => maker(key, 5));
      const wants = makers.slice(0, 3).map(({ item }) => cache.want(item));
      expect(() => cache.want(makers[3]!.item)).toThrow(CacheBusyError);
      // Who wants what waits already waits with it.
      cache.want(makers[2]!.item).release();
      wants[1]!.release();
      cache.want(makers[3]!.item);
      await settle();
      makers[0]!.finish();
    });
  });

  test('what is wanted ahead is refused early, what goes on is not', async () => {
    await withCache({ concurrency: 1, maxWaiting: 4 }, async (cache) => {
      const makers = [...'abcdefg'].map((key) => maker(key, 5));
      cache.want(makers[0]!.item);
      cache.want(makers[1]!.item, 'ahead');
      expect(() => cache.want(makers[2]!.item, 'ahead')).toThrow(CacheBusyError);
      for (const { item } of makers.slice(2, 5)) cache.want(item, 'first');
      expect(() => cache.want(makers[5]!.item, 'first')).toThrow(CacheBusyError);
      cache.want(makers[5]!.item, 'next');
      expect(cache.stats.waitingCount).toBe(5);
      await settle();
      makers[0]!.finish();
      makers[1]!.finish();
    });
  });

  test('what somebody waits for is made before what is wanted ahead', async () => {
    await withCache({ concurrency: 1 }, async (cache) => {
      const [a, b, c] = [maker('a', 5), maker('b', 5), maker('c', 5)];
      cache.want(a.item);
      cache.want(b.item, 'ahead');
      const waited = read(cache.want(c.item), 0, 1);
      await settle();
      a.finish();
      await expect.poll(() => c.begun).toBe(1);
      expect(b.begun).toBe(0);
      c.finish();
      expect(await waited).toBe('c');
      b.finish();
    });
  });

  test('what is being sent is not dropped for what is wanted ahead, and for others not between two reads', async () => {
    await withCache({ maxByteLength: 10 }, async (cache) => {
      const counts = new Map<string, number>();
      const item = (key: string) => ready(key, 10, () => counts.set(key, (counts.get(key) ?? 0) + 1));
      const sent = cache.want(item('a'));
      await read(sent, 0, 1);
      const ahead = cache.want(item('b'), 'ahead');
      const other = cache.want(item('c'));
      const waited = read(other, 0, 1);
      for (let at = 1; at < 10; at++) await read(sent, at, 1);
      expect(Object.fromEntries(counts)).toEqual({ a: 1 });
      sent.release();
      expect(await waited).toBe('c');
      other.release();
      expect(await read(ahead, 0, 1)).toBe('b');
      expect(Object.fromEntries(counts)).toEqual({ a: 1, b: 1, c: 1 });
    });
  });

  test('a way to make the bytes that fails says nothing of another', async () => {
    await withCache({}, async (cache) => {
      const broken = maker('a', 10);
      const first = read(cache.want(broken.item), 0, 1);
      const second = read(cache.want(ready('a', 10)), 0, 1);
      await settle();
      broken.finish(new Error('its base is gone'));
      await expect(first).rejects.toThrow('its base is gone');
      expect(await second).toBe('a');
    });
  });

  test('on a full disk what is not used makes room, once and for all', async () => {
    await withCache({ maxByteLength: 100 }, async (cache, folder) => {
      const disk = 25;
      const limited = (key: string): CacheItem => ({
        key,
        byteLength: 10,
        async make(path) {
          const [own] = await readdir(folder);
          const names = await readdir(join(folder, own!));
          const sizes = names.map(async (name) => (await stat(join(folder, own!, name))).size);
          const used = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
          if (used + 10 > disk) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
          await writeFile(path, contentOf(key, 10));
        },
      });
      for (const key of ['a', 'b', 'c', 'd', 'c']) await readOnce(cache, limited(key));
      expect(cache.stats).toMatchObject({ byteLength: 20, maxByteLength: 20, evictedCount: 2, hitCount: 1 });
    });
  });

  test('nobody else may read the files', async () => {
    await withCache({}, async (cache, folder) => {
      await readOnce(cache, ready('a', 1));
      const [own] = await readdir(folder);
      // Windows has no such modes.
      if (process.platform !== 'win32') expect((await stat(join(folder, own!))).mode & 0o777).toBe(0o700);
    });
  });

  test('any sequence of wants: right bytes, never over the limit, each key made once while it is there', async () => {
    const step = fc.record({ key: fc.integer({ min: 0, max: 7 }), offset: fc.nat(20), isKept: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.integer({ min: 28, max: 90 }),
        async (steps, limit) => {
          await withCache({ maxByteLength: limit, concurrency: 3 }, async (cache, folder) => {
            const [own] = await readdir(folder);
            const making = new Set<string>();
            await Promise.all(
              steps.map(async ({ key, offset, isKept }) => {
                const byteLength = 7 * ((key % 4) + 1);
                const name = `${key}`;
                const item: CacheItem = {
                  key: name,
                  byteLength,
                  async make(path) {
                    expect(making.has(name)).toBe(false);
                    making.add(name);
                    await writeFile(path, contentOf(name, byteLength));
                    making.delete(name);
                  },
                };
                const want = cache.want(item);
                const from = offset % byteLength;
                expect(await read(want, from, byteLength - from)).toBe(name.repeat(byteLength - from));
                expect(cache.stats.byteLength).toBeLessThanOrEqual(limit);
                expect(await sizeOf(join(folder, own!))).toBeLessThanOrEqual(limit);
                if (!isKept) want.release();
              }),
            );
          });
        },
      ),
      { numRuns: 25 },
    );
  });
});

async function sizeOf(folder: string): Promise<number> {
  const sizes = (await readdir(folder)).map((name) =>
    stat(join(folder, name)).then(
      ({ size }) => size,
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

test('files that somebody cut or removed are made again, for whoever reads them then', async () => {
  await withCache({}, async (cache, folder) => {
    let count = 0;
    const item = ready('a', 10, () => count++);
    await readOnce(cache, item);
    const [own] = await readdir(folder);
    const [file] = await readdir(join(folder, own!));
    await truncate(join(folder, own!, file!), 3);
    await Promise.all([readOnce(cache, item), readOnce(cache, item), readOnce(cache, item)]);
    expect(count).toBe(2);
    // As a cleaner of old files does it, before the file was opened.
    const other = ready('b', 10, () => count++);
    cache.want(other);
    await settle();
    await rm(join(folder, own!), { recursive: true });
    await readOnce(cache, other);
    expect(count).toBe(4);
    expect(cache.stats).toMatchObject({ byteLength: 20, fileCount: 2 });
  });
});

test('handles are bounded: many more files than may be open are read', async () => {
  await withCache({ maxByteLength: 10_000, concurrency: 8, maxWaiting: 1000 }, async (cache) => {
    const items = Array.from({ length: 600 }, (_, i) => ready(`${i} `, 9));
    const handles = async () => (await readdir('/proc/self/fd').catch(() => [])).length;
    const before = await handles();
    for (let at = 0; at < items.length; at += 50)
      await Promise.all(items.slice(at, at + 50).map((item) => readOnce(cache, item)));
    expect((await handles()) - before).toBeLessThan(320);
    await Promise.all(items.map((item) => readOnce(cache, item)));
    expect(cache.stats.missCount).toBe(600);
  });
});

describe('close', () => {
  test('fails those who wait, waits for what is being made, and gives out nothing any more', async () => {
    await withTempFolder(async (folder) => {
      const cache = await FileCache.open({ folder, maxByteLength: 100, concurrency: 1 });
      const [a, b] = [maker('a', 10), maker('b', 10)];
      const [first, second] = [cache.want(a.item), cache.want(b.item)];
      const waiting = expect(read(second, 0, 1)).rejects.toThrow('closed');
      const reading = read(first, 0, 10).catch((error: Error) => error);
      await settle();
      let isClosed = false;
      const closing = cache.close().then(() => {
        isClosed = true;
      });
      await waiting;
      await settle();
      expect(isClosed).toBe(false);
      a.finish();
      await closing;
      await reading;
      expect(() => cache.want(a.item)).toThrow('closed');
      expect(await readdir(folder)).toEqual([]);
    });
  });

  test('two caches in one folder do not meet', async () => {
    await withTempFolder(async (folder) => {
      const options = { folder, maxByteLength: 100, concurrency: 1 };
      const [first, second] = [await FileCache.open(options), await FileCache.open(options)];
      await readOnce(first, ready('a', 5));
      await first.close();
      await readOnce(second, ready('a', 5));
      expect(await readdir(folder)).toHaveLength(1);
      await second.close();
      expect(await readdir(folder)).toEqual([]);
    });
  });

  test('a folder that cannot be made is a clear error', async () => {
    await withTempFolder(async (folder) => {
      await writeFile(join(folder, 'file'), 'x');
      const opening = FileCache.open({
        folder: join(folder, 'file', 'cache'),
        maxByteLength: 1,
        concurrency: 1,
      });
      await expect(opening).rejects.toThrow(/cache: cannot create/);
      expect(await readFile(join(folder, 'file'), 'utf8')).toBe('x');
    });
  });
});

/** What src/store/backend.ts promises, on any backend: each one's own tests begin by running this. */
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isEreError } from '../../formats/errors.js';
import type { Key, StoreBackend } from '../../src/store/backend.js';
import { countingBytes } from '../helpers/safetensors-bytes.js';
import { type BackendFixture, type BackendSuiteOptions, collect } from './backend-fixture.js';
import { describeWriting } from './backend-writing.js';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array) => new TextDecoder().decode(value);
const sha256 = (value: Uint8Array) => createHash('sha256').update(value).digest('hex');

const MALFORMED: readonly string[] = [
  ...[
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    '.',
    '..',
    'a/..',
    '../a',
    'a/./b',
    '.a',
    'a.',
    'a/.b',
    'A',
    'a/B',
    'é',
    'a b',
  ],
  ...[
    'a\\b',
    'a\0',
    'a:b',
    'a\n',
    'tmp',
    'tmp/a',
    'x'.repeat(256),
    `${'x'.repeat(200)}/`.repeat(3).slice(0, 513),
  ],
];

/** Declares the tests of every promise; of a read-only backend those of reading, and that it refuses the rest. */
export function describeBackend(
  name: string,
  create: () => Promise<BackendFixture>,
  options: BackendSuiteOptions = {},
): void {
  describe(name, () => describeReading(create, options));
  if (options.isReadOnly !== true) describeWriting(name, create, options);
}

function describeReading(create: () => Promise<BackendFixture>, options: BackendSuiteOptions): void {
  let fixture: BackendFixture;
  let backend: StoreBackend;
  beforeEach(async () => {
    fixture = await create();
    backend = fixture.backend;
  });
  afterEach(async () => {
    await backend.close();
    await fixture.remove();
  });

  async function fill(values: Readonly<Record<Key, string | Uint8Array>>): Promise<void> {
    const filler = fixture.filler ?? backend;
    const entries = Object.entries(values);
    while (entries.length > 0) {
      const some = entries.splice(0, 16);
      await Promise.all(
        some.map(([key, value]) => filler.write(key, typeof value === 'string' ? bytes(value) : value)),
      );
    }
    await fixture.publish?.();
  }

  async function listed(prefix = ''): Promise<string[]> {
    return (await collect(backend.list(prefix))).map(({ key }) => key).sort();
  }

  describe('reading', () => {
    it('a value is the bytes that were written, also none', async () => {
      const random = countingBytes(100_001);
      await fill({ 'objects/ab/random': random, empty: '' });
      expect(sha256(await backend.read('objects/ab/random'))).toBe(sha256(random));
      expect(await backend.read('empty')).toEqual(new Uint8Array(0));
      const open = await backend.open('empty');
      expect(open.byteLength).toBe(0);
      expect(await open.read(0, 0)).toEqual(new Uint8Array(0));
      await open.close();
    });

    it('keys of every allowed character and length come back as they are', async () => {
      const longest = 'x'.repeat(options.maxSegmentLength ?? 255);
      const long = `${Array(3).fill('x'.repeat(199)).join('/').slice(0, 511)}y`;
      expect(long.length).toBe(512);
      const keys = ['a.b/c_d/e%2f=f/g~h', '-', '0', '%', longest, long, 'con%3a/~1'].sort();
      await fill(Object.fromEntries(keys.map((key) => [key, key])));
      expect(await listed()).toEqual(keys);
      for (const key of keys) expect(text(await backend.read(key))).toBe(key);
    });

    it('where there is no value, reads are NotFoundError and stat is undefined', async () => {
      await fill({ 'a/b': 'x' });
      for (const key of ['b', 'a', 'a/b/c', 'a/c']) {
        await expect(backend.read(key)).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
        await expect(backend.open(key)).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
        expect(await backend.stat(key)).toBeUndefined();
      }
    });

    it('a value longer than its reader allows is a LimitError, one as long is read', async () => {
      await fill({ a: 'four' });
      const limited = backend.read('a', { maxByteLength: 3 });
      await expect(limited).rejects.toMatchObject({ code: 'ERE_LIMIT', limit: 3, actual: 4 });
      expect(text(await backend.read('a', { maxByteLength: 4 }))).toBe('four');
    });

    it('stat tells length and time of writing', async () => {
      await fill({ 'a/b': 'hello' });
      const value = await backend.stat('a/b');
      expect(value).toMatchObject({ key: 'a/b', byteLength: 5 });
      expect(Math.abs(value!.modifiedMs - Date.now())).toBeLessThan(60_000);
    });

    it('an open value is read in any parts, many at once, also into given memory', async () => {
      const content = countingBytes(300_000);
      await fill({ a: content });
      const open = await backend.open('a');
      expect(open.byteLength).toBe(300_000);
      const offsets = [0, 1, 65_535, 65_536, 299_000, 150_001];
      const parts = await Promise.all(offsets.map((offset) => open.read(offset, 1000)));
      parts.forEach((part, i) => {
        expect(Buffer.compare(part, content.subarray(offsets[i], offsets[i] + 1000))).toBe(0);
      });
      const room = new Uint8Array(10);
      expect(await open.read(7, 10, room)).toEqual(content.subarray(7, 17));
      expect(await open.read(300_000, 0)).toEqual(new Uint8Array(0));
      await expect(open.read(299_999, 2)).rejects.toThrow(RangeError);
      await expect(open.read(-1, 2)).rejects.toThrow(RangeError);
      await open.close();
      await open.close();
    });

    it('an open value never gives bytes of another, when its key is replaced or removed', async () => {
      const before = new Uint8Array(200_000).fill(1);
      await fill({ a: before });
      const open = await backend.open('a');
      expect((await open.read(0, 10))[0]).toBe(1);
      const filler = fixture.filler ?? backend;
      const isOldOrRefused = async (offset: number) => {
        const part = await open.read(offset, 100_000).catch((error) => error);
        if (part instanceof Uint8Array) expect(part.every((byte) => byte === 1)).toBe(true);
        else expect(isEreError(part)).toBe(true);
      };
      await filler.write('a', new Uint8Array(200_000).fill(2));
      await isOldOrRefused(50_000);
      await filler.remove('a');
      await isOldOrRefused(0);
      await open.close();
    });

    it('a listing holds every key under a folder and no other, with lengths', async () => {
      const values = { 'a/b': '1', 'a/c/d': '22', 'a/c/e': '333', ab: '4444', 'a-b/c': '5' };
      await fill(values);
      expect(await listed()).toEqual(Object.keys(values).sort());
      expect(await listed('a')).toEqual(['a/b', 'a/c/d', 'a/c/e']);
      expect(await listed('a/c')).toEqual(['a/c/d', 'a/c/e']);
      expect(await listed('a/b')).toEqual([]);
      expect(await listed('nothing/here')).toEqual([]);
      for (const value of await collect(backend.list('a'))) {
        expect(value.byteLength).toBe(values[value.key as keyof typeof values].length);
        expect(Math.abs(value.modifiedMs - Date.now())).toBeLessThan(60_000);
      }
    });

    it('a long listing is complete, and may be left early', async () => {
      const keys = Array.from(
        { length: options.manyCount ?? 1050 },
        (_, i) => `many/${i % 10}/${String(i).padStart(5, '0')}`,
      );
      await fill(Object.fromEntries(keys.map((key) => [key, 'x'])));
      expect(await listed('many')).toEqual(keys.sort());
      for await (const { key } of backend.list('')) {
        expect(key).toMatch(/^many\//);
        break;
      }
    });

    it('a malformed key is a RangeError in every operation', async () => {
      for (const key of MALFORMED) {
        const calls = [
          () => backend.read(key),
          () => backend.open(key),
          () => backend.stat(key),
          () => backend.write(key, bytes('x')),
          () => backend.compareAndSwap(key, undefined, bytes('x')),
          () => backend.remove(key),
          ...(key === '' ? [] : [() => collect(backend.list(key))]),
        ];
        for (const call of calls) await expect(call(), JSON.stringify(key)).rejects.toThrow(RangeError);
      }
    });

    it('an aborted signal ends every operation before it changes anything', async () => {
      await fill({ a: 'x' });
      const signal = AbortSignal.abort(new Error('enough'));
      const reads = [
        () => backend.read('a', { signal }),
        () => backend.open('a', { signal }),
        () => backend.stat('a', { signal }),
        () => collect(backend.list('', { signal })),
      ];
      const changes = [
        () => backend.write('a', bytes('y'), { signal }),
        () => backend.compareAndSwap('a', bytes('x'), bytes('y'), { signal }),
        () => backend.remove('a', { signal }),
        () => backend.removeLeftovers({ signal }),
      ];
      for (const call of backend.isReadOnly ? reads : [...reads, ...changes]) {
        await expect(call()).rejects.toMatchObject({ code: 'ERE_ABORTED', cause: signal.reason });
      }
      expect(text(await backend.read('a'))).toBe('x');
    });

    it('a change to a read-only backend is an UnsupportedError', async () => {
      if (!backend.isReadOnly)
        return expect(await backend.compareAndSwap('a', undefined, bytes('x'))).toBe(true);
      for (const change of [
        () => backend.write('a', bytes('y')),
        () => backend.compareAndSwap('a', undefined, bytes('y')),
        () => backend.remove('a'),
      ]) {
        await expect(change()).rejects.toMatchObject({ code: 'ERE_UNSUPPORTED' });
      }
      expect(await backend.removeLeftovers()).toBe(0);
    });
  });
}

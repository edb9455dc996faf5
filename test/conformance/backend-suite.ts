/** What src/store/backend.ts promises, on any backend: each one's own tests begin by running this. */
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isEreError } from '../../formats/errors.js';
import type { Key, StoreBackend, StoredValue } from '../../src/store/backend.js';
import { countingBytes } from '../helpers/safetensors-bytes.js';

export interface BackendFixture {
  readonly backend: StoreBackend;
  /** Of a read-only backend: what writes the values that it reads. */
  readonly filler?: StoreBackend;
  /** Of a read-only backend: makes what the filler has written listable. */
  publish?(): Promise<void>;
  remove(): Promise<void>;
}

export interface BackendSuiteOptions {
  /** Values in the listing that is longer than a page; default 1,050. */
  readonly manyCount?: number;
  /** Byte length of the large value; default 24 MiB. */
  readonly largeByteLength?: number;
}

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

  describe(`${name}: reading`, () => {
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
      const keys = [
        'a.b/c_d/e%2f=f/g~h',
        '-',
        '0',
        '%',
        `${'x'.repeat(255)}/${'y'.repeat(254)}/z`,
        'con%3a/~1',
      ].sort();
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
        expect(part).toEqual(content.subarray(offsets[i], offsets[i] + 1000));
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
  describeWriting(name, create, options);
}

function describeWriting(
  name: string,
  create: () => Promise<BackendFixture>,
  options: BackendSuiteOptions,
): void {
  let fixture: BackendFixture;
  let backend: StoreBackend;
  beforeEach(async () => {
    fixture = await create();
    // What a read-only backend reads is written through another, which is held to the same.
    backend = fixture.filler ?? fixture.backend;
  });
  afterEach(async () => {
    await backend.close();
    await fixture.remove();
  });

  describe(`${name}: writing`, () => {
    it('a value is replaced whole, by a longer, a shorter and an empty one', async () => {
      for (const value of ['first', 'second one', 'x', '']) {
        await backend.write('a/b', bytes(value));
        expect(text(await backend.read('a/b'))).toBe(value);
        expect(await backend.stat('a/b')).toMatchObject({ byteLength: value.length });
      }
    });

    it('a large content in pieces whose memory is used again arrives whole', async () => {
      const byteLength = options.largeByteLength ?? 24 << 20;
      const expected = createHash('sha256');
      async function* pieces() {
        const room = new Uint8Array(1_000_003);
        for (let done = 0, i = 0; done < byteLength; i++) {
          const piece = room.subarray(0, Math.min(room.byteLength - (i % 7), byteLength - done));
          piece.fill(i + 1);
          expected.update(piece);
          done += piece.byteLength;
          yield piece;
          room.fill(0);
        }
      }
      await backend.write('large', pieces());
      const open = await backend.open('large');
      expect(open.byteLength).toBe(byteLength);
      const found = createHash('sha256');
      for (let at = 0; at < byteLength; at += 5_000_000) {
        found.update(await open.read(at, Math.min(5_000_000, byteLength - at)));
      }
      await open.close();
      expect(found.digest('hex')).toBe(expected.digest('hex'));
    });

    it('a content of no pieces, or of empty ones, is an empty value', async () => {
      await backend.write('none', (async function* () {})());
      await backend.write(
        'empty',
        (async function* () {
          yield new Uint8Array(0);
        })(),
      );
      expect(await backend.read('none')).toEqual(new Uint8Array(0));
      expect(await backend.read('empty')).toEqual(new Uint8Array(0));
    });

    it('a content that fails half-way leaves the key as it was, and its error is thrown', async () => {
      const failure = new Error('content');
      async function* failing() {
        yield new Uint8Array(100_000);
        throw failure;
      }
      await backend.write('old', bytes('old'));
      await expect(backend.write('old', failing())).rejects.toBe(failure);
      await expect(backend.write('new', failing())).rejects.toBe(failure);
      expect(text(await backend.read('old'))).toBe('old');
      expect(await backend.stat('new')).toBeUndefined();
      expect((await collect(backend.list(''))).map(({ key }) => key)).toEqual(['old']);
      expect(await backend.removeLeftovers()).toBe(0);
    });

    it('an abort ends a write that waits for its content, which is told to end', async () => {
      await backend.write('old', bytes('old'));
      const controller = new AbortController();
      let isReturned = false;
      const waiting: AsyncIterable<Uint8Array> = {
        [Symbol.asyncIterator]: () => ({
          next: () => new Promise(() => {}),
          return: async () => {
            isReturned = true;
            return { done: true, value: undefined };
          },
        }),
      };
      const writing = backend.write('old', waiting, { signal: controller.signal });
      setTimeout(() => controller.abort(), 20);
      await expect(writing).rejects.toMatchObject({ code: 'ERE_ABORTED' });
      expect(isReturned).toBe(true);
      expect(text(await backend.read('old'))).toBe('old');
      expect(await backend.removeLeftovers()).toBe(0);
    });

    it('removed is removed, and removing nothing is allowed', async () => {
      await backend.write('a/b', bytes('x'));
      await backend.remove('a/b');
      await backend.remove('a/b');
      await backend.remove('a');
      expect(await backend.stat('a/b')).toBeUndefined();
      await backend.write('a/b', bytes('y'));
      expect(text(await backend.read('a/b'))).toBe('y');
    });

    it('many values are written at once', async () => {
      const keys = Array.from({ length: 100 }, (_, i) => `o/${i % 7}/${i}`);
      await Promise.all(keys.map((key) => backend.write(key, bytes(key))));
      for (const key of keys) expect(text(await backend.read(key))).toBe(key);
    });

    it('writers of one key at once leave the value of one of them', async () => {
      const values = Array.from({ length: 20 }, (_, i) => String(i).repeat(5000));
      await Promise.all(values.map((value) => backend.write('same', bytes(value))));
      expect(values).toContain(text(await backend.read('same')));
    });

    it('a listing meanwhile holds what is neither written nor removed, once each', async () => {
      const stable = Array.from({ length: 60 }, (_, i) => `s/${i % 4}/${i}`);
      for (const key of stable) await backend.write(key, bytes('x'));
      let isDone = false;
      const changing = (async () => {
        for (let i = 0; !isDone; i++) {
          await backend.write(`s/${i % 5}/new${i}`, bytes('y'));
          if (i > 5) await backend.remove(`s/${(i - 5) % 5}/new${i - 5}`);
        }
      })();
      for (let round = 0; round < 10; round++) {
        const keys = (await collect(backend.list('s'))).map(({ key }) => key);
        expect(new Set(keys).size).toBe(keys.length);
        expect(keys.filter((key) => !key.includes('new')).sort()).toEqual([...stable].sort());
      }
      isDone = true;
      await changing;
    });
  });

  describe(`${name}: compareAndSwap`, () => {
    it('sets, replaces and removes where the value is the expected one', async () => {
      expect(await backend.compareAndSwap('r/a', undefined, bytes('1'))).toBe(true);
      expect(await backend.compareAndSwap('r/a', bytes('1'), bytes('22'))).toBe(true);
      expect(text(await backend.read('r/a'))).toBe('22');
      expect(await backend.compareAndSwap('r/a', bytes('22'), undefined)).toBe(true);
      expect(await backend.stat('r/a')).toBeUndefined();
      expect((await collect(backend.list(''))).length).toBe(0);
      expect(await backend.compareAndSwap('r/a', undefined, undefined)).toBe(true);
      expect(await backend.compareAndSwap('r/a', undefined, bytes('3'))).toBe(true);
      expect((await collect(backend.list(''))).map(({ key }) => key)).toEqual(['r/a']);
    });

    it('changes nothing where it is not, and tells', async () => {
      expect(await backend.compareAndSwap('r', bytes('1'), bytes('2'))).toBe(false);
      expect(await backend.compareAndSwap('r', bytes('1'), undefined)).toBe(false);
      expect(await backend.stat('r')).toBeUndefined();
      await backend.compareAndSwap('r', undefined, bytes('1'));
      for (const expected of [undefined, bytes('2'), bytes('11'), bytes('')]) {
        expect(await backend.compareAndSwap('r', expected, bytes('9'))).toBe(false);
        expect(await backend.compareAndSwap('r', expected, undefined)).toBe(false);
      }
      expect(text(await backend.read('r'))).toBe('1');
    });

    it('an empty value is not none', async () => {
      expect(await backend.compareAndSwap('r', bytes(''), bytes('1'))).toBe(false);
      expect(await backend.compareAndSwap('r', undefined, bytes(''))).toBe(true);
      expect(await backend.compareAndSwap('r', undefined, bytes('1'))).toBe(false);
      expect(await backend.compareAndSwap('r', bytes(''), bytes('1'))).toBe(true);
    });

    it('of many at once exactly one wins, round after round, also for a removal', async () => {
      let current: Uint8Array | undefined;
      for (let round = 0; round < 6; round++) {
        const nexts = Array.from({ length: 12 }, (_, i) =>
          round % 3 === 2 ? undefined : bytes(`${round}.${i}`),
        );
        const wins = await Promise.all(nexts.map((next) => backend.compareAndSwap('r', current, next)));
        const winners = nexts.filter((_, i) => wins[i]);
        expect(winners.length).toBe(1);
        current = winners[0];
        const found = (await backend.stat('r')) && (await backend.read('r'));
        expect(found && text(found)).toBe(current && text(current));
      }
    });

    it('no increment of a counter is lost', async () => {
      const [writers, increments] = [6, 5];
      await Promise.all(Array.from({ length: writers }, () => increment(backend, 'counter', increments)));
      expect(text(await backend.read('counter'))).toBe(String(writers * increments));
    });
  });
}

/** Adds 1 to the number at a key, `count` times, against any others that do. */
export async function increment(backend: StoreBackend, key: Key, count: number): Promise<void> {
  for (let done = 0; done < count; ) {
    const current = (await backend.stat(key)) === undefined ? undefined : await backend.read(key);
    const next = bytes(String(current === undefined ? 1 : Number(text(current)) + 1));
    if (await backend.compareAndSwap(key, current, next)) done++;
  }
}

async function collect(values: AsyncIterable<StoredValue>): Promise<StoredValue[]> {
  const collected: StoredValue[] = [];
  for await (const value of values) collected.push(value);
  return collected;
}

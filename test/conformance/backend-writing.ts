/** What src/store/backend.ts promises of writing. Part of backend-suite.ts. */
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StoreBackend } from '../../src/store/backend.js';
import { type BackendFixture, type BackendSuiteOptions, collect } from './backend-fixture.js';
import { increment } from './increment.js';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array) => new TextDecoder().decode(value);

/** Declares the tests of write, remove and compareAndSwap. */
export function describeWriting(
  name: string,
  create: () => Promise<BackendFixture>,
  options: BackendSuiteOptions = {},
): void {
  describe(name, () => describeChanges(create, options));
}

function describeChanges(create: () => Promise<BackendFixture>, options: BackendSuiteOptions): void {
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

  describe('writing', () => {
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

  describe('compareAndSwap', () => {
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

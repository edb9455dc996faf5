/** A value that is read again when it is old: one read at a time, and nobody waits for more than one where reading is slow. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Refreshed } from '../../src/serve/refreshed.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A value of maximum age 100 that takes so long to read; the reads are its values, from 1. */
function slow(readMs: number) {
  let [count, running, most] = [0, 0, 0];
  const befores: (number | undefined)[] = [];
  const refreshed = new Refreshed<number>(100, async (before) => {
    befores.push(before);
    most = Math.max(most, ++running);
    const value = ++count;
    await new Promise((resolve) => setTimeout(resolve, readMs));
    running--;
    return value;
  });
  /** What is got, and after how long. */
  const ask = async () => {
    const start = performance.now();
    const value = await refreshed.get();
    return { value, waited: performance.now() - start };
  };
  return { refreshed, ask, befores, counts: () => ({ count, most }) };
}

describe('Refreshed', () => {
  test('is read once for all who ask, and again when it is old', async () => {
    const { ask, befores } = slow(10);
    const first = Promise.all([ask(), ask()]);
    await vi.advanceTimersByTimeAsync(10);
    expect((await first).map(({ value }) => value)).toEqual([1, 1]);
    await vi.advanceTimersByTimeAsync(100);
    expect(await ask()).toEqual({ value: 1, waited: 0 });
    await vi.advanceTimersByTimeAsync(1);
    const second = ask();
    await vi.advanceTimersByTimeAsync(10);
    expect(await second).toEqual({ value: 2, waited: 10 });
    expect(befores).toEqual([undefined, 1]);
  });

  test('where reading takes longer than the age, nobody waits for more than one read, and one runs at a time', async () => {
    const { ask, counts } = slow(300);
    const asked: ReturnType<typeof ask>[] = [];
    for (let i = 0; i < 40; i++) {
      asked.push(ask());
      await vi.advanceTimersByTimeAsync(110);
    }
    await vi.advanceTimersByTimeAsync(1000);
    for (const { waited } of await Promise.all(asked)) expect(waited).toBeLessThanOrEqual(300);
    expect(counts().most).toBe(1);
  });

  test('while a newer one is read the old one is given out, but not for ever', async () => {
    const { ask } = slow(1000);
    const first = ask();
    await vi.advanceTimersByTimeAsync(1101);
    await first;
    const second = ask();
    expect(await ask()).toEqual({ value: 1, waited: 0 });
    await vi.advanceTimersByTimeAsync(400);
    const third = ask();
    await vi.advanceTimersByTimeAsync(600);
    expect(await second).toEqual({ value: 2, waited: 1000 });
    expect(await third).toEqual({ value: 2, waited: 600 });
  });

  test('one that expired is not given out, nor one whose reading began before that', async () => {
    const { refreshed, ask, counts } = slow(50);
    const first = ask();
    await vi.advanceTimersByTimeAsync(20);
    refreshed.expire();
    const [second, third] = [ask(), ask()];
    refreshed.expire(); // The next read has not begun: it is read after this, too.
    const fourth = ask();
    await vi.advanceTimersByTimeAsync(80);
    expect((await Promise.all([first, second, third, fourth])).map(({ value }) => value)).toEqual([
      1, 2, 2, 2,
    ]);
    expect(counts()).toEqual({ count: 2, most: 1 });
    expect((await ask()).value).toBe(2);
  });

  test('what fails is told to all who wait for it, and tried again by the next', async () => {
    let count = 0;
    const refreshed = new Refreshed<number>(100, async () => {
      if (++count === 1) throw new Error('not now');
      return count;
    });
    const both = Promise.allSettled([refreshed.get(), refreshed.get()]);
    expect((await both).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await refreshed.get()).toBe(2);
  });
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  defaultMemoryCap,
  MIN_MEMORY_CAP,
  MIN_SHARE_BYTE_LENGTH,
  memoryBudget,
  RUNTIME_BYTE_LENGTH,
  THREAD_BYTE_LENGTH,
} from '../../src/residual/memory-budget.js';

test('the parts of a budget never add up to more than the cap, and every thread gets its least share', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: MIN_MEMORY_CAP, max: 2 ** 40 }),
      fc.integer({ min: 1, max: 256 }),
      (memoryCap, threads) => {
        const budget = memoryBudget({ memoryCap, threads });
        expect(budget.cap).toBe(memoryCap);
        expect(budget.threads).toBeGreaterThanOrEqual(1);
        expect(budget.threads).toBeLessThanOrEqual(threads);
        expect(budget.shareByteLength).toBeGreaterThanOrEqual(MIN_SHARE_BYTE_LENGTH);
        const parts = budget.threads * (THREAD_BYTE_LENGTH + budget.shareByteLength);
        expect(RUNTIME_BYTE_LENGTH + parts).toBeLessThanOrEqual(memoryCap);
      },
    ),
  );
});

test('a small cap means fewer threads', () => {
  expect(memoryBudget({ memoryCap: MIN_MEMORY_CAP, threads: 8 }).threads).toBe(1);
  expect(memoryBudget({ memoryCap: 2 ** 31, threads: 8 }).threads).toBe(8);
});

test('the default is half of what is free, but never too little to work', () => {
  expect(defaultMemoryCap(8 * 2 ** 30)).toBe(4 * 2 ** 30);
  expect(defaultMemoryCap(1000)).toBe(MIN_MEMORY_CAP);
});

test('a cap that nothing fits in is refused', () => {
  for (const memoryCap of [0, MIN_MEMORY_CAP - 1, Number.NaN, 1.5e9 + 0.5]) {
    expect(() => memoryBudget({ memoryCap }), `${memoryCap}`).toThrow(
      /expected a memoryCap of at least \d+ bytes/,
    );
  }
});

test('the least cap is the one that the options document', () => {
  expect(MIN_MEMORY_CAP).toBe(168 * 2 ** 20);
});

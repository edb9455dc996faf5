/** What the user asks for is what comes out: sizes, shares, errors, ranks, energies. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BudgetError } from '../../formats/errors.js';
import { type Budget, encode } from '../../src/index.js';
import {
  floatTensor,
  type Model,
  matrixPair,
  modelPair,
  QUICK,
  roundTrip,
  withModels,
} from '../helpers/models.js';
import { listTree, withTempFolder } from '../helpers/temp-folder.js';
import { normalFloats } from '../kernels/samples.js';

/** Spectra of every kind, and a vector that is exact whatever the budget. */
const pairs = [
  matrixPair('spiked', [160, 120], 1, { dtype: 'BF16', rank: 8 }),
  matrixPair('flat', [120, 160], 2, { dtype: 'BF16', rank: 1, noise: 1 }),
  matrixPair('weak', [100, 100], 3, { dtype: 'BF16', strength: 0.02 }),
  matrixPair('strong', [80, 90], 4, { rank: 10, strength: 0.3 }),
  {
    base: floatTensor('norm', 'BF16', [160], normalFloats(160, 5)),
    fineTuned: floatTensor('norm', 'BF16', [160], normalFloats(160, 6)),
  },
];
const models = modelPair(pairs);

/** Encodes for several budgets. */
async function atBudgets(
  use: (
    encodeAt: (budget: Budget, options?: Partial<Parameters<typeof encode>[1]>) => Promise<Encoded>,
  ) => Promise<void>,
  written: { base: Model; fineTuned: Model } = models,
): Promise<void> {
  await withModels(written, async (base, tuned, folder) => {
    const output = join(folder, 'a.ere');
    await use(async (budget, options = {}) => {
      const report = await encode(tuned, { ...QUICK, ...options, base, output, budget, overwrite: true });
      const { size } = await stat(output);
      expect(report.archiveByteLength).toBe(size);
      return { ...report, size };
    });
  });
}

type Encoded = Awaited<ReturnType<typeof encode>> & { readonly size: number };

describe('a size', () => {
  it('is never exceeded, and used to within 2 %', async () => {
    await atBudgets(async (encodeAt) => {
      let previous = Number.POSITIVE_INFINITY;
      for (const byteLength of [6000, 9000, 14_000, 25_000, 50_000]) {
        const report = await encodeAt({ kind: 'size', byteLength });
        expect(report.size).toBeLessThanOrEqual(byteLength);
        expect(report.size).toBeGreaterThan(0.98 * byteLength);
        expect(report.relativeError).toBeLessThan(previous);
        previous = report.relativeError;
      }
    });
  });

  for (const allocation of ['uniform', 'energy', 'layerwise'] as const) {
    it(`is kept by the ${allocation} allocation at every width`, async () => {
      await atBudgets(async (encodeAt) => {
        for (const bits of [3, 8, 13]) {
          const report = await encodeAt({ kind: 'size', byteLength: 16_000 }, { allocation, bits });
          expect(report.size).toBeLessThanOrEqual(16_000);
          expect(report.size).toBeGreaterThan(0.98 * 16_000);
          expect(report).toMatchObject({ allocation, bits });
        }
      });
    });
  }

  it('the layerwise allocation has less error than the others at the same size', async () => {
    await atBudgets(async (encodeAt) => {
      const errors = [];
      for (const allocation of ['layerwise', 'energy', 'uniform'] as const) {
        const report = await encodeAt({ kind: 'size', byteLength: 12_000 }, { allocation, bits: 5 });
        errors.push(report.relativeError);
      }
      expect(errors[0]).toBeLessThan(Math.min(errors[1]!, errors[2]!));
    });
  });

  it('a share is one of the fine-tuned weight files; the default is 6 %', async () => {
    await atBudgets(async (encodeAt) => {
      const { fineTunedByteLength: whole, size, ratio } = await encodeAt({ kind: 'ratio', ratio: 0.1 });
      expect(size).toBeLessThanOrEqual(0.1 * whole);
      expect(size).toBeGreaterThan(0.098 * whole);
      expect(ratio).toBe(size / whole);
      const implied = await encodeAt(undefined as unknown as Budget);
      expect(implied.size).toBeLessThanOrEqual(0.06 * whole);
      expect(implied.size).toBeGreaterThan(0.058 * whole);
    });
  });

  it('that is more than the whole model takes gives an exact archive', async () => {
    await atBudgets(async (encodeAt) => {
      const report = await encodeAt({ kind: 'ratio', ratio: 3 });
      expect(report.relativeError).toBe(0);
      expect(report.ratio).toBeLessThan(1.1);
    });
  });

  it('that is too small is refused with the smallest there is, which then works', async () => {
    await atBudgets(async (encodeAt) => {
      const error = await encodeAt({ kind: 'size', byteLength: 100 }).catch((e) => e);
      expect(error).toBeInstanceOf(BudgetError);
      expect(error.asked).toBe(100);
      expect(error.message).toContain(`the smallest archive of this model has ${error.reachable} bytes`);
      expect(error.message).toContain('over the asked 100');
      const smallest = await encodeAt({ kind: 'size', byteLength: error.reachable });
      expect(smallest.size).toBeLessThanOrEqual(error.reachable);
      const over = await encodeAt({ kind: 'size', byteLength: error.reachable - 1 }).catch((e) => e);
      expect(over).toBeInstanceOf(BudgetError);
      expect(over.reachable).toBe(error.reachable);
    });
  });
});

describe('a relative error', () => {
  /** Many components of falling strength: no single step decides. */
  const graded = modelPair(
    Array.from({ length: 6 }, (_, i) =>
      matrixPair(`w${i}`, [70 + 10 * i, 110 - 10 * i], 20 * i, {
        rank: 4 + i,
        strength: 0.1 / (1 + i),
        noise: 0.2,
      }),
    ),
  );

  it('is met as measured, with not much to spare', async () => {
    await atBudgets(async (encodeAt) => {
      let previous = 0;
      for (const asked of [0.75, 0.4, 0.2, 0.05]) {
        const report = await encodeAt({ kind: 'max-error', relativeError: asked });
        expect(report.relativeError).toBeLessThanOrEqual(asked);
        expect(report.relativeError).toBeGreaterThan(0.93 * asked);
        expect(report.size).toBeGreaterThan(previous);
        previous = report.size;
      }
    }, graded);
  });

  it('of 0 is an exact archive', async () => {
    await withTempFolder(async (folder) => {
      const budget = { kind: 'max-error', relativeError: 0 } as const;
      const trip = await roundTrip(folder, models, { budget });
      expect(trip.report.relativeError).toBe(0);
      for (const { fineTuned } of pairs) expect(trip.tensors.get(fineTuned.name)).toEqual(fineTuned.data);
    });
  });

  it('counts tied tensors each, as the report does', async () => {
    const tied = {
      base: { ...pairs[0]!.base, name: 'tied' },
      fineTuned: { ...pairs[0]!.fineTuned, name: 'tied' },
    };
    await atBudgets(
      async (encodeAt) => {
        const report = await encodeAt({ kind: 'max-error', relativeError: 0.3 });
        expect(report.relativeError).toBeLessThanOrEqual(0.3);
        expect(report.relativeError).toBeGreaterThan(0.27);
      },
      modelPair([...pairs, tied]),
    );
  });

  it('that no width reaches is refused with the least there is', async () => {
    await atBudgets(async (encodeAt) => {
      const budget = { kind: 'max-error', relativeError: 1e-9 } as const;
      const error = await encodeAt(budget, { allocation: 'uniform', bits: 2 }).catch((e) => e);
      expect(error).toBeInstanceOf(BudgetError);
      expect(error.asked).toBe(1e-9);
      expect(error.reachable).toBeGreaterThan(1e-9);
      expect(error.reachable).toBeLessThan(1);
      const reached = { kind: 'max-error', relativeError: error.reachable * 1.01 } as const;
      expect((await encodeAt(reached, { allocation: 'uniform', bits: 2 })).relativeError).toBeLessThan(1);
    });
  });
});

describe('a rank and an energy', () => {
  it('a rank is every matrix´s own', async () => {
    await atBudgets(async (encodeAt) => {
      const { tensors } = await encodeAt({ kind: 'rank', rank: 7 });
      expect(tensors.map(({ name, rank }) => [name, rank])).toEqual([
        ['spiked', 7],
        ['flat', 7],
        ['weak', 7],
        ['strong', 7],
        ['norm', 0],
      ]);
    });
  });

  it('an energy of τ leaves an error of about √(1 − τ) in every matrix, whatever its rank', async () => {
    // float32, so that rounding to the dtype adds nothing.
    const wide = pairs
      .slice(0, 2)
      .map(({ base }, i) => matrixPair(base.name, base.shape, 40 + i, { rank: 3 * i, noise: 0.5 }));
    await atBudgets(async (encodeAt) => {
      for (const share of [0.5, 0.9]) {
        const { tensors } = await encodeAt({ kind: 'energy', energy: share }, { bits: 16 });
        for (const { relativeError, rank } of tensors) {
          expect(relativeError).toBeLessThanOrEqual(Math.sqrt(1 - share) * 1.001);
          expect(rank).toBeGreaterThan(0);
        }
        expect(tensors[0]!.rank).not.toBe(tensors[1]!.rank);
      }
    }, modelPair(wide));
  });

  it('an energy of 1 keeps everything', async () => {
    await atBudgets(async (encodeAt) => {
      expect((await encodeAt({ kind: 'energy', energy: 1 })).relativeError).toBeLessThan(0.01);
    });
  });
});

describe('options at odds', () => {
  const cases: readonly (readonly [string, object, typeof RangeError | typeof TypeError, RegExp])[] = [
    ['a rank of 0', { budget: { kind: 'rank', rank: 0 } }, RangeError, /rank of at least 1, got 0/],
    ['a fractional rank', { budget: { kind: 'rank', rank: 1.5 } }, RangeError, /got 1.5/],
    [
      'an energy over 1',
      { budget: { kind: 'energy', energy: 1.1 } },
      RangeError,
      /energy in \(0, 1\], got 1.1/,
    ],
    ['a ratio of 0', { budget: { kind: 'ratio', ratio: 0 } }, RangeError, /ratio over 0, got 0/],
    ['an endless ratio', { budget: { kind: 'ratio', ratio: Infinity } }, RangeError, /got Infinity/],
    [
      'a fractional size',
      { budget: { kind: 'size', byteLength: 10.5 } },
      RangeError,
      /size over 0 bytes, got 10.5/,
    ],
    ['an error of 1', { budget: { kind: 'max-error', relativeError: 1 } }, RangeError, /in \[0, 1\), got 1/],
    [
      'an error that is no number',
      { budget: { kind: 'max-error', relativeError: NaN } },
      RangeError,
      /got NaN/,
    ],
    ['1 bit', { bits: 1 }, RangeError, /bits .* \[2, 16\], got 1/],
    ['17 bits', { bits: 17 }, RangeError, /got 17/],
    ['a prior over 1', { prior: 2 }, RangeError, /prior in \[0, 1\], got 2/],
    [
      'a prior without layers',
      { prior: 0.5, allocation: 'uniform' },
      TypeError,
      /prior only with allocation 'layerwise'/,
    ],
    ['no thread', { threads: 0 }, RangeError, /threads .* got 0/],
    [
      'an allocation that the budget rules out',
      { budget: { kind: 'rank', rank: 2 }, allocation: 'layerwise' },
      TypeError,
      /'uniform' with a budget of kind 'rank', got 'layerwise'/,
    ],
  ];
  for (const [name, options, errorClass, message] of cases) {
    it(`${name} is refused before anything is read or written`, async () => {
      await withTempFolder(async (folder) => {
        const output = join(folder, 'a.ere');
        const error = await encode('/nowhere', { base: '/nowhere', output, ...options }).catch((e) => e);
        expect(error).toBeInstanceOf(errorClass);
        expect(error.message).toMatch(message);
        expect(await listTree(folder)).toEqual([]);
      });
    });
  }
});

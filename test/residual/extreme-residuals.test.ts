/** Residuals at the ends of what there can be: next to nothing, one element, larger than products of float32 hold. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FloatDtype } from '../../formats/dtype.js';
import { diff, type EncodeOptions, estimateEncode, isEreError, verify } from '../../src/index.js';
import { floatTensor, modelPair, QUICK, roundTrip, valuesOf, withModels } from '../helpers/models.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { withRoundTrip } from '../helpers/tensor-pairs.js';
import { normalFloats } from '../kernels/samples.js';

type Choices = Partial<EncodeOptions>;
const BUDGETS: readonly Choices[] = [
  { budget: { kind: 'ratio', ratio: 0.5 } },
  { budget: { kind: 'max-error', relativeError: 0.1 } },
  { budget: { kind: 'rank', rank: 2 } },
];

/** What an update makes of values that are also the base's. */
type Update = (values: Float32Array, base: Float32Array) => void;
const spread = (i: number) => ((i * 7919) % 101) - 50;
const UPDATES: Readonly<Record<string, Update>> = {
  'one element changed': (values) => {
    values[0]! += 1;
  },
  'one element changed to 1e30': (values) => {
    values[values.length >> 1] = 1e30;
  },
  'one element changed to the largest half': (values) => {
    values[0] = 65504;
  },
  'all but one element changed': (values) => {
    for (let i = 1; i < values.length; i++) values[i]! += 0.01 * spread(i);
  },
  'a denormal residual': (values, base) => {
    base.fill(0);
    for (let i = 0; i < values.length; i++) values[i] = i % 3 === 0 ? 0 : 1e-40 * (i % 17);
  },
  'one denormal element': (values, base) => {
    base.fill(0);
    values.fill(0);
    values[0] = 2 ** -149;
  },
  'values that products overflow from': (values, base) => {
    for (let i = 0; i < values.length; i++) [values[i], base[i]] = [6e35 * spread(i), -6e35 * spread(i + 3)];
  },
};

/** 64 × 64 is as small as a low-rank part is tried under exact terms. */
const SHAPES = [
  [64, 64],
  [1, 1],
  [1, 4096],
  [4096, 1],
] as const;

function pairOf(dtype: FloatDtype, shape: readonly [number, number], update: Update) {
  const base = normalFloats(shape[0] * shape[1], 1);
  const values = base.slice();
  update(values, base);
  return { base: floatTensor('w', dtype, shape, base), fineTuned: floatTensor('w', dtype, shape, values) };
}

/** Exact without a loss; with budgets a finite loss, or no archive for want of bytes. Diff and dry run say finite numbers. */
async function expectEveryWay(pair: ReturnType<typeof pairOf>, budgets: readonly Choices[]): Promise<void> {
  const models = modelPair([pair]);
  for (const choices of [{ lossless: true }, ...budgets]) {
    await withTempFolder(async (folder) => {
      try {
        const trip = await roundTrip(folder, models, { force: true, ...choices });
        const { relativeError } = trip.encoded.get('w')!;
        const data = trip.tensors.get('w')!;
        expect(relativeError).toBeLessThanOrEqual(1);
        // A zero may lose its sign where a loss is allowed: that is no distance.
        const decoded = valuesOf({ ...pair.fineTuned, data });
        if (relativeError === 0) {
          expect(valuesOf(pair.fineTuned).every((value, i) => value === decoded[i])).toBe(true);
        }
        if (choices.lossless === true) {
          expect(relativeError).toBe(0);
          expect(Buffer.compare(data, pair.fineTuned.data!)).toBe(0);
        }
      } catch (error) {
        if (choices.lossless === true || !isEreError(error, 'ERE_BUDGET')) throw error;
      }
    });
  }
  await withModels(models, async (base, fineTuned, folder) => {
    const report = await diff(fineTuned, { ...QUICK, base });
    expect(report.estimates.every(({ ratio, relativeError }) => Number.isFinite(ratio + relativeError))).toBe(
      true,
    );
    for (const choices of budgets) {
      const options = { ...QUICK, force: true, ...choices, base, output: `${folder}/a.ere` };
      const estimate = await estimateEncode(fineTuned, options).catch((error: unknown) => {
        if (!isEreError(error, 'ERE_BUDGET')) throw error;
      });
      if (estimate) expect(Number.isFinite(estimate.relativeError + estimate.archiveByteLength)).toBe(true);
    }
  });
}

describe('encodes exactly and within budgets, and is estimated', () => {
  for (const [name, update] of Object.entries(UPDATES)) {
    it(`${name}: a matrix of every dtype`, async () => {
      for (const dtype of ['F32', 'BF16', 'F16'] as const) {
        await expectEveryWay(pairOf(dtype, [64, 64], update), BUDGETS);
      }
    });
  }

  it('every update of a single row, column and element', async () => {
    for (const update of Object.values(UPDATES)) {
      for (const shape of SHAPES.slice(1)) await expectEveryWay(pairOf('F32', shape, update), []);
    }
  });

  it('any few elements changed by anything', async () => {
    const change = fc.record({
      at: fc.nat(4095),
      value: fc.oneof(
        fc.float({ noNaN: true, noDefaultInfinity: true }),
        fc.constantFrom(1e-45, 3.4e38, -3.4e38, 1e-38, 1, 65504),
      ),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { minLength: 1, maxLength: 6 }),
        fc.constantFrom<FloatDtype>('F32', 'BF16', 'F16'),
        fc.constantFrom(...BUDGETS),
        fc.boolean(),
        async (changes, dtype, budget, isZeroBase) => {
          const update: Update = (values, base) => {
            if (isZeroBase) [values, base].map((array) => array.fill(0));
            for (const { at, value } of changes) values[at] = value;
          };
          await expectEveryWay(pairOf(dtype, [64, 64], update), [budget]);
        },
      ),
      { numRuns: 10 },
    );
  });
});

it('a few changed elements take a few bytes without a loss', async () => {
  const pair = pairOf('F32', [64, 64], UPDATES['one element changed']!);
  await withRoundTrip(
    [pair],
    (trip) => {
      expect(trip.encoded.get('w')!.byteLength).toBeLessThan(64);
    },
    { lossless: true },
  );
});

it('another dtype of the same values takes next to nothing without a loss', async () => {
  const base = floatTensor('w', 'BF16', [64, 64], normalFloats(4096, 1));
  const fineTuned = floatTensor('w', 'F32', [64, 64], valuesOf(base));
  await withRoundTrip(
    [{ base, fineTuned }],
    (trip) => {
      expect(trip.tensors.get('w')).toEqual(fineTuned.data);
      expect(trip.encoded.get('w')).toMatchObject({ relativeError: 0 });
      expect(trip.encoded.get('w')!.byteLength).toBeLessThan(8);
    },
    { lossless: true },
  );
});

it('a loss that would reach infinity is none: the tensor is coded exactly', async () => {
  const pair = pairOf('F16', [64, 64], UPDATES['one element changed to the largest half']!);
  await withRoundTrip(
    [pair],
    (trip) => {
      expect(trip.tensors.get('w')).toEqual(pair.fineTuned.data);
      expect(trip.encoded.get('w')).toMatchObject({ case: 'residual', relativeError: 0 });
    },
    { budget: { kind: 'rank', rank: 2 }, force: true },
  );
});

it('added rows may hold anything: the loss is that of the others', async () => {
  const values = normalFloats(80 * 70, 1);
  const base = floatTensor('w', 'F32', [60, 70], values.slice(0, 60 * 70));
  for (let i = 0; i < 60 * 70; i++) values[i]! += 0.01 * spread(i);
  values.set([Number.NaN, Number.POSITIVE_INFINITY], 79 * 70);
  const fineTuned = floatTensor('w', 'F32', [80, 70], values);
  await withRoundTrip(
    [{ base, fineTuned }],
    async (trip) => {
      const added = 60 * 70 * 4;
      expect(trip.tensors.get('w')!.subarray(added)).toEqual(fineTuned.data!.subarray(added));
      const { relativeError } = trip.encoded.get('w')!;
      expect(relativeError).toBeGreaterThan(0);
      expect(relativeError).toBeLessThanOrEqual(0.3);
      const verified = await verify(trip.archive, { base: trip.base, against: trip.fineTuned });
      expect(verified.comparison!.relativeError).toBeCloseTo(trip.report.relativeError, 4);
    },
    { budget: { kind: 'max-error', relativeError: 0.3 }, force: true },
  );
});

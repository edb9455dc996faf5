/** Expected costs against what encodes really take. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseSketch } from '../../formats/sketch/parse-sketch.js';
import type { Sketch } from '../../formats/sketch/sketch.js';
import { expectedBits } from '../../src/sketch/expected-bits.js';
import { expectedStep } from '../../src/sketch/expected-step.js';
import { fitResidual } from '../../src/sketch/residual-model.js';
import { floatTensor, type Model, roundTrip } from '../helpers/models.js';
import { gaussian } from '../helpers/random.js';
import type { TensorToWrite } from '../helpers/safetensors-bytes.js';
import { sketchOf } from '../helpers/sketches.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { normalFloats, randomBits } from '../kernels/samples.js';

const LOSSLESS = { lossless: true } as const;

/**
 * Bits per weight of lossless archives of a real training run, tensors only: a reference and what is coded against it.
 * Steps 0 to 100 of the run that continues the small language model of test/fixtures/tinylm, whose fine-tune `python`
 * is step 0; the sketches of all of them are fixtures.
 */
const MEASURED: readonly (readonly [reference: string, fineTuned: string, bitsPerWeight: number])[] = [
  ['step-000', 'step-020', 1.776],
  ['step-000', 'step-040', 2.0176],
  ['step-020', 'step-040', 1.4902],
  ['step-000', 'step-060', 2.1696],
  ['step-020', 'step-060', 1.8281],
  ['step-040', 'step-060', 1.4539],
  ['step-000', 'step-080', 2.2824],
  ['step-020', 'step-080', 2.0292],
  ['step-040', 'step-080', 1.807],
  ['step-060', 'step-080', 1.4476],
  ['step-000', 'step-100', 2.3769],
  ['step-020', 'step-100', 2.1729],
  ['step-040', 'step-100', 2.0132],
  ['step-060', 'step-100', 1.8012],
  ['step-080', 'step-100', 1.4487],
  ['base', 'step-000', 7.3207],
  ['base', 'step-100', 7.3271],
];

const NAMES = [...new Set(['base', ...MEASURED.map(([, fineTuned]) => fineTuned)])];
const run = new Map<string, Sketch>();

beforeAll(async () => {
  for (const name of NAMES) {
    const url = new URL(`../../../test/fixtures/sketches/tinylm-${name}.sketch`, import.meta.url);
    run.set(name, await parseSketch(await readFile(url), fileURLToPath(url)));
  }
});

const estimate = (reference: string, fineTuned: string): number =>
  expectedBits(run.get(fineTuned)!, run.get(reference), LOSSLESS).bitsPerWeight;

describe('the expected cost of a lossless step of a real run', () => {
  it('is 2 to 10 % above the measured one, whether 40 % or all of the weights changed', () => {
    for (const [reference, fineTuned, measured] of MEASURED) {
      const ratio = estimate(reference, fineTuned) / measured;
      expect(ratio, `${reference} → ${fineTuned}`).toBeGreaterThan(1.02);
      expect(ratio, `${reference} → ${fineTuned}`).toBeLessThan(1.1);
    }
  });

  it('ranks references as measured', () => {
    for (const target of NAMES) {
      const references = MEASURED.filter(([, fineTuned]) => fineTuned === target);
      const byMeasured = [...references].sort((x, y) => x[2] - y[2]).map(([reference]) => reference);
      const byEstimate = references
        .map(([reference]) => ({ reference, bits: estimate(reference, target) }))
        .sort((x, y) => x.bits - y.bits)
        .map(({ reference }) => reference);
      expect(byEstimate).toEqual(byMeasured);
    }
  });

  it('is more without a reference', () => {
    const whole = expectedBits(run.get('base')!, undefined, LOSSLESS);
    expect(whole.bitsPerWeight).toBeGreaterThan(10);
    expect(whole.bitsPerWeight).toBeLessThan(11);
    expect(whole.ratio).toBeCloseTo(whole.bitsPerWeight / 16, 10);
    expect(whole.bits).toBeCloseTo(whole.bitsPerWeight * 4_951_296, 0);
  });

  it('with a quantiser falls by about a bit an octave of the step where it is fine, and is never 0', () => {
    const steps = [0.0005, 0.001, 0.002, 0.004, 0.2];
    const bits = steps.map(
      (step) => expectedBits(run.get('step-000')!, run.get('base'), { step }).bitsPerWeight,
    );
    for (const i of [0, 1]) {
      expect(bits[i]! - bits[i + 1]!).toBeGreaterThan(0.9);
      expect(bits[i]! - bits[i + 1]!).toBeLessThan(1.1);
    }
    expect(bits[4]).toBeGreaterThan(0);
    expect(bits[4]).toBeLessThan(0.01);
    // Every step of the run is nearer to the last one than the base is.
    const against = (reference: string) =>
      expectedBits(run.get('step-100')!, run.get(reference), { step: 0.001 }).bitsPerWeight;
    const costs = ['step-080', 'step-060', 'step-040', 'step-020', 'step-000', 'base'].map(against);
    expect(costs).toEqual([...costs].sort((x, y) => x - y));
  });
});

describe('the step of a quantiser for a budget', () => {
  const [fineTuned, reference] = ['step-000', 'base'];
  const at = (step: number) => expectedBits(run.get(fineTuned!)!, run.get(reference!), { step });

  it.each([0.01, 0.06, 0.25])('of %d of the bytes takes about as many', (ratio) => {
    const step = expectedStep(run.get(fineTuned!)!, run.get(reference!)!, { ratio })!;
    expect(at(step).ratio / ratio).toBeGreaterThan(0.6);
    expect(at(step).ratio / ratio).toBeLessThan(1.2);
  });

  it.each([0.05, 0.3, 0.7])('of %d of the residual leaves about as much', (relativeError) => {
    const step = expectedStep(run.get(fineTuned!)!, run.get(reference!)!, { relativeError })!;
    const { squaredError, squaredResidual } = at(step);
    expect(Math.sqrt(squaredError / squaredResidual) / relativeError).toBeGreaterThan(0.9);
    expect(Math.sqrt(squaredError / squaredResidual) / relativeError).toBeLessThan(1.1);
    // ‖R‖ of the real pair is 20.11.
    expect(Math.sqrt(squaredResidual)).toBeGreaterThan(19);
    expect(Math.sqrt(squaredResidual)).toBeLessThan(21.5);
  });

  it('is undefined where exact coding is within the budget, and where nothing differs', () => {
    const [before, after] = [run.get('step-000')!, run.get('step-020')!];
    expect(expectedStep(after, before, { ratio: 0.25 })).toBeUndefined();
    expect(expectedStep(before, before, { relativeError: 0.5 })).toBeUndefined();
    expect(expectedStep({ tensors: new Map() }, before, { ratio: 0.1 })).toBeUndefined();
  });

  it.each([0, 1, Number.NaN])('of %d is refused', (ratio) => {
    const sketch = run.get('base')!;
    expect(() => expectedStep(sketch, sketch, { ratio })).toThrow(/expected a budget in \(0, 1\)/);
  });
});

/** Matrices of a small model, in BF16. */
function smallModel(count = 24): TensorToWrite[] {
  return Array.from({ length: count }, (_, i) =>
    floatTensor(`layers.${i}.weight`, 'BF16', [96, 128], normalFloats(96 * 128, i + 1, 0.05)),
  );
}

/** The next code for this share of the weights. */
function sparseStep(tensors: readonly TensorToWrite[], share: number): TensorToWrite[] {
  const next = randomBits(7);
  return tensors.map((tensor) => {
    const data = tensor.data!.slice();
    const codes = new Uint16Array(data.buffer);
    for (let i = 0; i < codes.length; i++) {
      if (next() / 2 ** 32 < share) codes[i]! += next() & 1 ? 1 : -1;
    }
    return { ...tensor, data };
  });
}

async function measure(base: Model, fineTuned: Model): Promise<number> {
  return withTempFolder(async (folder) => {
    const { report } = await roundTrip(folder, { base, fineTuned }, { lossless: true, force: true });
    const bytes = report.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
    return (8 * bytes) / (fineTuned.tensors.length * 96 * 128);
  });
}

describe('the expected cost of generated steps', () => {
  it.each([0.0005, 0.01, 0.1, 0.5])(
    'of which %d of the weights change is near the real one',
    async (share) => {
      const base = smallModel();
      const fineTuned = sparseStep(base, share);
      const { bitsPerWeight } = expectedBits(await sketchOf(fineTuned), await sketchOf(base), LOSSLESS);
      const real = await measure({ tensors: base }, { tensors: fineTuned });
      expect(bitsPerWeight / real).toBeGreaterThan(0.7);
      expect(bitsPerWeight / real).toBeLessThan(1.5);
    },
  );

  it('of unrelated weights is near that of the weights alone', async () => {
    const base = smallModel(2);
    const other = base.map((tensor, i) =>
      floatTensor(tensor.name, 'BF16', tensor.shape, normalFloats(96 * 128, 900 + i, 0.05)),
    );
    const real = await measure({ tensors: base }, { tensors: other });
    const against = expectedBits(await sketchOf(other), await sketchOf(base), LOSSLESS).bitsPerWeight;
    const alone = expectedBits(await sketchOf(other), undefined, LOSSLESS).bitsPerWeight;
    expect(against / real).toBeGreaterThan(0.9);
    expect(against / real).toBeLessThan(1.15);
    expect(alone).toBeLessThan(against);
  });
});

describe('expectedBits', () => {
  const matrix = (values: Float32Array, name = 'w', rows = values.length / 128) =>
    floatTensor(name, 'BF16', [rows, 128], values);
  const values = normalFloats(64 * 128, 1);

  it('is 0 for a tensor whose digest is the same, and next to 0 where all samples are', async () => {
    const tensors = [matrix(values)];
    const digests = new Map([['w', `sha256:${'1'.repeat(64)}` as const]]);
    const known = await sketchOf(tensors, { digests });
    expect(expectedBits(known, known, LOSSLESS).bits).toBe(0);
    const unknown = await sketchOf(tensors);
    expect(expectedBits(unknown, unknown, LOSSLESS).bitsPerWeight).toBeLessThan(0.1);
  });

  it('takes integers as they are unless their digests are the same', async () => {
    const ids = [{ name: 'ids', dtype: 'I32', shape: [10], data: new Uint8Array(40) } as const];
    const sketch = await sketchOf(ids);
    expect(expectedBits(sketch, sketch, LOSSLESS)).toMatchObject({ bits: 320, bitsPerWeight: 32, ratio: 1 });
  });

  it('counts added rows as weights without a reference', async () => {
    const base = await sketchOf([matrix(values)]);
    const grown = await sketchOf([matrix(Float32Array.from([...values, ...normalFloats(64 * 128, 2)]))]);
    const bits = expectedBits(grown, base, LOSSLESS).bitsPerWeight;
    const alone = expectedBits(grown, undefined, LOSSLESS).bitsPerWeight;
    expect(bits).toBeGreaterThan(0.45 * alone);
    expect(bits).toBeLessThan(0.55 * alone);
  });

  it('sees through a prefix, and another float type', async () => {
    const base = await sketchOf([floatTensor('model.w', 'F32', [64, 128], values)]);
    const tuned = await sketchOf([matrix(values)]);
    expect(expectedBits(tuned, base, LOSSLESS).bitsPerWeight).toBeLessThan(0.1);
  });

  it('takes no more than the bits of a value, and values that are not finite as they are', async () => {
    const wild = values.map((value, i) => (i % 2 === 0 ? Number.NaN : value * 2 ** ((i % 240) - 120)));
    const bits = expectedBits(await sketchOf([matrix(wild)]), await sketchOf([matrix(values)]), LOSSLESS);
    expect(bits.ratio).toBeLessThanOrEqual(1);
    expect(bits.bitsPerWeight).toBeGreaterThan(8);
  });

  it('of nothing is 0', () => {
    const nothing = { tensors: new Map() };
    expect(expectedBits(nothing, nothing, LOSSLESS)).toEqual({
      bits: 0,
      bitsPerWeight: 0,
      ratio: 0,
      squaredResidual: 0,
      squaredError: 0,
    });
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])('refuses a step of %d', (step) => {
    const nothing = { tensors: new Map() };
    expect(() => expectedBits(nothing, nothing, { step })).toThrow(/expected a finite step over 0/);
  });
});

describe('fitResidual', () => {
  it('comes to the entropy of quantised Gaussian values within a tenth of a bit', () => {
    const next = gaussian(3);
    for (const width of [0.25, 1]) {
      const cells = Array.from({ length: 4096 }, () => {
        const level = Math.round(next() / width);
        return { low: (level - 0.5) * width, high: (level + 0.5) * width, isZero: level === 0 };
      });
      const entropy = 0.5 * Math.log2(2 * Math.PI * Math.E) - Math.log2(width);
      expect(Math.abs(fitResidual(cells).bits - entropy)).toBeLessThan(0.1);
    }
  });

  it('finds a share of unchanged values beside large differences', () => {
    const next = gaussian(4);
    const cells = Array.from({ length: 2000 }, (_, i) => {
      const level = i % 10 === 0 ? Math.round(100 * next()) : 0;
      return { low: level - 0.5, high: level + 0.5, isZero: level === 0 };
    });
    const { unchanged, bits } = fitResidual(cells);
    expect(unchanged).toBeGreaterThan(0.88);
    // 0.47 bits say which, and 0.1 · 8.7 bits by how much.
    expect(bits).toBeGreaterThan(1.25);
    expect(bits).toBeLessThan(1.45);
  });
});

describe('the expected cost beyond what is usual', () => {
  /** A model with a tensor that is changed, and one of which one weight is; and the model before. */
  const sparse = (change: (values: Float32Array) => void) => {
    const values = normalFloats(256, 1);
    const changed = values.slice();
    change(changed);
    const model = (own: Float32Array) =>
      sketchOf([
        floatTensor('own', 'F32', [16, 16], own),
        floatTensor(
          'other',
          'F32',
          [16, 16],
          values.map((value, i) => (own !== values && i === 12 ? value + 0.1 : value)),
        ),
      ]);
    return Promise.all([model(changed), model(values)]);
  };

  it('a weight that became 0 is one that is escaped, and makes no other tensor dear', async () => {
    const [zeroed, reference] = await sparse((values) => values.fill(0, 12, 13));
    const [moved] = await sparse((values) => values.fill(1.5, 12, 13));
    const cost = (sketch: Sketch) => expectedBits(sketch, reference, LOSSLESS).bitsPerWeight;
    expect(cost(zeroed)).toBeGreaterThan(cost(moved));
    expect(cost(zeroed)).toBeLessThan(2 * cost(moved));
  });

  it('is a number at every step, however small or large, of differences however large', async () => {
    for (const value of [0, 1e-45, 3e38]) {
      const [fineTuned, reference] = await sparse((values) => values.fill(value, 12, 13));
      for (const step of [1e-300, 1e-45, 1, 1e38, 1e308]) {
        const expected = expectedBits(fineTuned, reference, { step });
        expect(Object.values(expected).every(Number.isFinite)).toBe(true);
      }
    }
  });
});

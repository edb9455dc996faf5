/** The search for a quantiser step, on models of what residuals come to: how often it encodes, and where it ends. */
import { describe, expect, test } from 'vitest';
import { BudgetError } from '../../formats/errors.js';
import type { ResolvedBudget } from '../../src/residual/budget-search.js';
import { type StepAttempt, type StepOf, searchStep } from '../../src/residual/step-search.js';

/** What one residual comes to at a step. */
type Part = (step: number) => StepAttempt['parts'][number];

const OVERHEAD = 1000;

/** Bytes and error as powers of the step: what coding comes to between all and nothing. */
const smooth =
  (elements: number, deviation = 1): Part =>
  (step) => {
    const energy = deviation ** 2;
    const distortion = 1 / (1 / energy + 12 / step ** 2);
    const bits = 0.5 * Math.log2(energy / distortion);
    return { byteLength: Math.round((elements * bits) / 8), squaredError: elements * distortion };
  };

/** Sizes of a Llama's matrices, from large to small. */
const SIZES = Array.from({ length: 40 }, (_, i) => [40_000, 120_000, 160_000, 400_000][i % 4]! + 1000 * i);

interface Ran {
  readonly attempts: number;
  /** Residuals that were encoded at a step other than the one before, over all of them. */
  readonly encodedShare: number;
  readonly byteLength: number;
  readonly relativeError: number;
}

/** Searches among parts, with predictions that differ from them. */
async function search(
  budget: ResolvedBudget,
  parts: readonly Part[],
  { firstStep = 1, predict }: { firstStep?: number; predict?: readonly Part[] } = {},
): Promise<Ran> {
  const squaredResidual = SIZES.reduce((sum, elements) => sum + elements, 0);
  const partsAt = (models: readonly Part[], stepOf: StepOf) => models.map((part, r) => part(stepOf(r)));
  let [attempts, encoded] = [0, 0];
  const last: number[] = [];
  const { found } = await searchStep({
    budget,
    squaredResidual,
    residuals: SIZES.map((elements) => ({ elements, energy: elements })),
    errorAdvice: 'allow more',
    firstStep,
    attempt: async (stepOf) => {
      attempts++;
      for (const r of parts.keys()) {
        if (last[r] !== stepOf(r)) encoded++;
        last[r] = stepOf(r);
      }
      const at = partsAt(parts, stepOf);
      return {
        parts: at,
        byteLength: at.reduce((sum, { byteLength }) => sum + byteLength, OVERHEAD),
        squaredError: at.reduce((sum, { squaredError }) => sum + squaredError, 0),
      };
    },
    ...(predict === undefined ? {} : { predict: async (stepOf: StepOf) => partsAt(predict, stepOf) }),
  });
  return {
    attempts,
    encodedShare: encoded / parts.length,
    byteLength: found.byteLength,
    relativeError: Math.sqrt(found.squaredError / squaredResidual),
  };
}

const size = (byteLength: number): ResolvedBudget => ({ kind: 'size', byteLength });
const all = (part: (elements: number, index: number) => Part): Part[] => SIZES.map(part);
const smoothParts = all((elements) => smooth(elements));

function expectMet({ byteLength }: Ran, asked: number): void {
  expect(byteLength).toBeLessThanOrEqual(asked);
  expect(byteLength).toBeGreaterThan(0.99 * asked);
}

describe('where size follows the step smoothly', () => {
  test.each([60_000, 300_000, 900_000, 2_000_000])(
    '%i bytes are met from any step to begin with',
    async (asked) => {
      for (const firstStep of [0.1, 0.5, 2, 10]) {
        const ran = await search(size(asked), smoothParts, { firstStep });
        expectMet(ran, asked);
        expect(ran.attempts).toBeLessThanOrEqual(8);
      }
    },
  );

  test('a step that is right is encoded once', async () => {
    const { byteLength } = await search(size(900_000), smoothParts);
    let step = 0.001;
    while (smoothParts.reduce((sum, part) => sum + part(step).byteLength, OVERHEAD) > byteLength)
      step *= 1.0005;
    expect((await search(size(900_000), smoothParts, { firstStep: step })).attempts).toBe(1);
  });

  test('an error is met, and hardly undercut', async () => {
    for (const relativeError of [0.05, 0.2, 0.6]) {
      const ran = await search({ kind: 'error', relativeError }, smoothParts, { firstStep: 0.1 });
      expect(ran.relativeError).toBeLessThanOrEqual(relativeError);
      expect(ran.relativeError).toBeGreaterThan(0.99 * relativeError);
    }
  });
});

test('an error that nothing reaches is refused with the least there is, and what to do', async () => {
  const floored = smoothParts.map(
    (part, i): Part =>
      (step) => ({ ...part(step), squaredError: Math.max(0.01 * SIZES[i]!, part(step).squaredError) }),
  );
  const error = await search({ kind: 'error', relativeError: 0.05 }, floored).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(BudgetError);
  expect(error).toMatchObject({ asked: 0.05, reachable: expect.closeTo(0.1, 9) });
  expect((error as Error).message).toBe(
    'the least relative error that is reached is 0.100, over the asked 0.05; allow more',
  );
  const met = await search({ kind: 'error', relativeError: 0.101 }, floored);
  expect(met.relativeError).toBeLessThanOrEqual(0.101);
});

describe('where predictions are near', () => {
  /** The step at which predictions meet a size. */
  function predictedStep(models: readonly Part[], asked: number): number {
    let step = 0.001;
    while (models.reduce((sum, part) => sum + part(step).byteLength, OVERHEAD) > 0.996 * asked)
      step *= 1.0005;
    return step;
  }

  test.each([0.94, 0.97, 1, 1.02, 1.04])(
    'a bias of %f costs few residuals a second encoding',
    async (bias) => {
      const biased = smoothParts.map(
        (part): Part =>
          (step) => {
            const { byteLength, squaredError } = part(step);
            return { byteLength: bias * byteLength, squaredError };
          },
      );
      for (const asked of [300_000, 900_000]) {
        const firstStep = predictedStep(biased, asked);
        const ran = await search(size(asked), smoothParts, { firstStep, predict: biased });
        expectMet(ran, asked);
        expect(ran.encodedShare).toBeLessThan(2);
        expect(ran.attempts).toBeLessThanOrEqual(3);
      }
    },
  );

  test('a size missed by one percent costs a quarter of the residuals at most', async () => {
    const firstStep = 0.99 * predictedStep(smoothParts, 900_000);
    const ran = await search(size(900_000), smoothParts, { firstStep, predict: smoothParts });
    expectMet(ran, 900_000);
    expect(ran.encodedShare).toBeLessThanOrEqual(1.25);
  });

  test('an error is corrected as a size is', async () => {
    const biased = smoothParts.map(
      (part): Part =>
        (step) => {
          const { byteLength, squaredError } = part(step);
          return { byteLength, squaredError: 0.95 * squaredError };
        },
    );
    const ran = await search({ kind: 'error', relativeError: 0.2 }, smoothParts, {
      firstStep: 0.2 * Math.sqrt(12) * 0.99,
      predict: biased,
    });
    expect(ran.relativeError).toBeLessThanOrEqual(0.2);
    expect(ran.relativeError).toBeGreaterThan(0.198);
    expect(ran.attempts).toBeLessThanOrEqual(3);
  });

  test('predictions that are wrong about everything cost attempts, not the result', async () => {
    const wrong = smoothParts.map(
      (part): Part =>
        (step) =>
          part(1 / step),
    );
    const ran = await search(size(900_000), smoothParts, { firstStep: 0.3, predict: wrong });
    expectMet(ran, 900_000);
    expect(ran.attempts).toBeLessThanOrEqual(16);
  });
});

describe('where size jumps', () => {
  /** Below a step of its own each residual is coded exactly, at twice the bytes, and without an error. */
  const jumping = (threshold: (index: number) => number): Part[] =>
    all((elements, i) => (step) => {
      const part = smooth(elements)(step);
      return step < threshold(i) ? { byteLength: elements, squaredError: 0 } : part;
    });

  test('at steps that differ, it is met all the same', async () => {
    const ran = await search(
      size(900_000),
      jumping((i) => 0.2 + 0.01 * i),
      { firstStep: 0.5 },
    );
    expect(ran.byteLength).toBeLessThanOrEqual(900_000);
    expect(ran.byteLength).toBeGreaterThan(0.96 * 900_000);
    expect(ran.attempts).toBeLessThanOrEqual(20);
  });

  test('at one step for all, some residuals take one side and some the other', async () => {
    const parts = jumping(() => 0.4);
    const [below, above] = [0.399, 0.401].map((step) =>
      parts.reduce((sum, part) => sum + part(step).byteLength, OVERHEAD),
    );
    const asked = Math.round((below! + above!) / 2);
    const ran = await search(size(asked), parts, { firstStep: 1 });
    expect(ran.byteLength).toBeLessThanOrEqual(asked);
    // As near as one residual more or less.
    expect(ran.byteLength).toBeGreaterThan(asked - Math.max(...SIZES));
    expect(ran.attempts).toBeLessThanOrEqual(20);
  });
});

describe('where a size is out of reach', () => {
  test('it says how much is', async () => {
    await expect(search(size(OVERHEAD - 1), smoothParts)).rejects.toMatchObject({
      code: 'ERE_BUDGET',
      asked: OVERHEAD - 1,
      reachable: OVERHEAD,
    });
  });

  test('above everything exact, the finest step does', async () => {
    const exact = all(
      (elements) => (step) =>
        step < 0.001 ? { byteLength: elements, squaredError: 0 } : smooth(elements)(step),
    );
    const ran = await search(size(1e9), exact);
    expect(ran.byteLength).toBeLessThanOrEqual(1e9);
    expect(ran.relativeError).toBe(0);
  });
});

/** The range coder by itself; the WebAssembly one is held to the same bytes in interval.test.ts. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type BitCoder, Contexts, RangeDecoder, RangeEncoder } from '../../src/kernels/scalar/range-coder.js';
import { CountingCoder } from '../helpers/counting-coder.js';
import { randomBits, randomBytes } from './samples.js';

interface Step {
  /** Context of a bit; undefined for raw bits. */
  readonly context: number | undefined;
  readonly value: number;
  readonly bits: number;
}

const CONTEXTS = 4;

function run(coder: BitCoder, steps: readonly Step[], contexts = new Contexts(CONTEXTS)): number[] {
  return steps.map(({ context, value, bits }) =>
    context === undefined ? coder.raw(value, bits) : coder.bit(contexts, context, value, 5, 8),
  );
}

function encoded(steps: readonly Step[]): Uint8Array {
  const encoder = new RangeEncoder();
  run(encoder, steps);
  return encoder.finish();
}

/** Bits under one context that are 1 with probability `share`. */
function bitSteps(count: number, share: number, seed: number): Step[] {
  const next = randomBits(seed);
  return Array.from({ length: count }, () => ({
    context: 0,
    value: next() < share * 2 ** 32 ? 1 : 0,
    bits: 1,
  }));
}

describe('what was coded comes back', () => {
  const step = fc.oneof(
    fc.record({
      context: fc.integer({ min: 0, max: CONTEXTS - 1 }),
      value: fc.integer({ min: 0, max: 1 }),
      bits: fc.constant(1),
    }),
    fc.integer({ min: 0, max: 32 }).chain((bits) =>
      fc.record({
        context: fc.constant(undefined),
        value: fc.integer({ min: 0, max: 2 ** bits - 1 }),
        bits: fc.constant(bits),
      }),
    ),
  );

  test('bits and raw bits in any order', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const values = steps.map(({ value }) => value);
        expect(run(new RangeDecoder(encoded(steps)), steps)).toEqual(values);
      }),
      { numRuns: 300 },
    );
  });

  test('whatever follows the arithmetic code', () => {
    for (let seed = 0; seed < 60; seed++) {
      const steps = bitSteps(seed * 3, 0.3, seed);
      const payload = encoded(steps);
      for (const fill of [0, 0x55, 0xff]) {
        const longer = new Uint8Array(payload.length + 8).fill(fill);
        longer.set(payload);
        expect(run(new RangeDecoder(longer), steps)).toEqual(steps.map(({ value }) => value));
      }
    }
  });

  test('through long runs of carries: bits that the model thinks impossible', () => {
    for (const every of [1, 7, 40, 333]) {
      const steps = Array.from({ length: 20_000 }, (_, i) => ({
        context: 0,
        value: i > 3000 && i % every === 0 ? 1 : 0,
        bits: 1,
      }));
      const values = steps.map(({ value }) => value);
      expect(run(new RangeDecoder(encoded(steps)), steps)).toEqual(values);
    }
  });
});

describe('size', () => {
  test('nothing takes no byte', () => {
    expect(encoded([])).toEqual(new Uint8Array(0));
  });

  test('raw bits take themselves, the last byte filled with zeros, from the end backwards', () => {
    const steps = [
      { context: undefined, value: 0b101, bits: 3 },
      { context: undefined, value: 0x1ff, bits: 9 },
    ];
    expect([...encoded(steps)]).toEqual([0b0000_1111, 0b1111_1101]);
  });

  test('a stable source takes at most 1 % more than its entropy, but for what learning costs', () => {
    for (const share of [0.5, 0.2, 0.05, 0.02]) {
      const steps = bitSteps(200_000, share, 7);
      const contexts = new Contexts(CONTEXTS);
      const encoder = new RangeEncoder();
      for (const { value } of steps) encoder.bit(contexts, 0, value, 7, 10);
      const found = steps.filter(({ value }) => value === 1).length / steps.length;
      const entropy = -found * Math.log2(found) - (1 - found) * Math.log2(1 - found);
      expect(encoder.finish().length * 8).toBeLessThan(entropy * steps.length * 1.01 + 40);
    }
  });

  test('a bit that never changes takes 1/940 bit', () => {
    expect(encoded(bitSteps(100_000, 0, 1)).length * 8).toBeLessThan(160);
  });

  test('is within 0.1 % and two bytes of the code length of the model', () => {
    for (const share of [0.001, 0.1, 0.5, 0.99]) {
      const steps = bitSteps(50_000, share, 3);
      const counter = new CountingCoder();
      run(counter, steps);
      expect(encoded(steps).length * 8).toBeLessThan(counter.bits * 1.001 + 16);
    }
  });
});

describe('a payload that is not one', () => {
  test('gives bits all the same, zeros past its ends', () => {
    const decoder = new RangeDecoder(new Uint8Array(0));
    const contexts = new Contexts(1);
    for (let i = 0; i < 1000; i++) expect(decoder.bit(contexts, 0, 0, 5, 8)).toBe(0);
    expect(decoder.raw(0, 32)).toBe(0);
    const noisy = new RangeDecoder(randomBytes(10, 1));
    for (let i = 0; i < 1000; i++) expect(noisy.raw(0, 7)).toBeLessThan(128);
    const ones = new RangeDecoder(new Uint8Array(100).fill(255));
    for (let i = 0; i < 1000; i++) expect(ones.bit(contexts, 0, 0, 5, 8)).toBeLessThan(2);
  });
});

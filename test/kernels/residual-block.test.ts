/** Working in the kernels' own memory gives what working in the caller's gives. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FLOAT_DTYPES } from '../../formats/dtype.js';
import { elementByteLength } from '../../src/kernels/arguments.js';
import { MAX_RESIDUAL_BLOCK } from '../../src/kernels/kernels.js';
import {
  bytesOf,
  normalFloats,
  PATHS,
  randomBytes,
  randomFloatBits,
  randomIntegers,
  scalar,
  wasm,
} from './samples.js';

const KERNELS = { wasm, scalar };
const dimension = fc.oneof(fc.constantFrom(1, 3, 4, 5, 8, 13), fc.integer({ min: 1, max: 60 }));

describe.each(PATHS)('a residual block, %s', (path) => {
  const kernels = KERNELS[path];

  test('takes products, codes and rounding in place, every dtype, NaNs and infinities among the base', () => {
    fc.assert(
      fc.property(
        dimension,
        dimension,
        fc.integer({ min: 1, max: 20 }),
        fc.constantFrom(...FLOAT_DTYPES),
        fc.constantFrom(...FLOAT_DTYPES),
        fc.nat(),
        (rows, columns, k, dtype, baseDtype, seed) => {
          const a = Int16Array.from(randomIntegers(rows * k, seed, 500));
          const b = Int16Array.from(randomIntegers(columns * k, seed + 1, 500));
          const codes = Int16Array.from(randomIntegers(rows * columns, seed + 2, 100));
          const rowGains = new Uint16Array(rows).fill(3);
          const base = randomBytes(rows * columns * elementByteLength(baseDtype), seed + 3);
          const run = (on: typeof wasm, residual: Float32Array): Uint8Array => {
            residual.set(normalFloats(rows * columns, seed + 4));
            on.accumulateProduct({ a, b, rows, columns, k, scale: 1e-4, out: residual });
            on.accumulateCodes({ codes, rowGains, rows, columns, scale: 1e-3, out: residual });
            const out = new Uint8Array(rows * columns * elementByteLength(dtype));
            on.addAndRound(dtype, baseDtype, base, residual, out);
            return out;
          };
          const expected = run(scalar, new Float32Array(rows * columns));
          expect(Buffer.compare(run(kernels, kernels.residualBlock(rows * columns)), expected)).toBe(0);
        },
      ),
      { numRuns: 150 },
    );
  });

  test('of the largest size, with an operand that streams through', () => {
    const [rows, columns, k] = [2, MAX_RESIDUAL_BLOCK / 2, 140];
    const a = Int16Array.from(randomIntegers(rows * k, 1, 100));
    const b = Int16Array.from(randomIntegers(columns * k, 2, 100));
    const block = kernels.residualBlock(rows * columns).fill(0);
    const expected = new Float32Array(rows * columns);
    kernels.accumulateProduct({ a, b, rows, columns, k, scale: 0.5, out: block });
    scalar.accumulateProduct({ a, b, rows, columns, k, scale: 0.5, out: expected });
    expect(bytesOf(block).equals(bytesOf(expected))).toBe(true);
    expect(() => kernels.residualBlock(MAX_RESIDUAL_BLOCK + 1)).toThrow(RangeError);
  });
});

describe('bf16 sums with NaNs', () => {
  test('are rounded like any others, and NaN comes out canonical', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40_000 }), fc.nat(), (count, seed) => {
        const residual = seed % 2 === 0 ? randomFloatBits(count, seed) : normalFloats(count, seed);
        const base = randomBytes(2 * count, seed + 1);
        const outputs = [wasm, scalar].map((kernels) => {
          const out = new Uint8Array(2 * count);
          kernels.addAndRound('BF16', 'BF16', base, residual, out);
          return out;
        });
        expect(Buffer.compare(outputs[0]!, outputs[1]!)).toBe(0);
      }),
      { numRuns: 40 },
    );
  });
});

describe('accumulateSigns', () => {
  test('wasm and scalar give the same sums, from any bit on', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.nat(100), fc.constantFrom(16_384, 16_385, 50_001)),
        fc.nat(20),
        fc.nat(),
        (count, bitOffset, seed) => {
          const bytes = randomBytes(Math.ceil((bitOffset + count) / 8), seed);
          const scale = normalFloats(1, seed)[0]!;
          const outputs = [wasm, scalar].map((kernels) => {
            const out = normalFloats(count, seed + 1);
            kernels.accumulateSigns({ bytes, bitOffset, scale, out });
            return bytesOf(out);
          });
          expect(outputs[0]!.equals(outputs[1]!)).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('a bit 1 takes the scale away', () => {
    const out = new Float32Array(3);
    wasm.accumulateSigns({ bytes: Uint8Array.of(0b1010), bitOffset: 1, scale: 0.5, out });
    expect([...out]).toEqual([-0.5, 0.5, -0.5]);
    expect(() =>
      wasm.accumulateSigns({ bytes: new Uint8Array(1), scale: 1, out: new Float32Array(9) }),
    ).toThrow('expected at least 2 bytes, got 1');
  });
});

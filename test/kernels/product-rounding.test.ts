/** A product that is all of a residual, added to the base and rounded in one pass: bit by bit what two passes give. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FLOAT_DTYPES, type FloatDtype } from '../../formats/dtype.js';
import { elementByteLength } from '../../src/kernels/arguments.js';
import type { Kernels } from '../../src/kernels/kernels.js';
import { PATHS, randomBytes, randomFloatBits, randomIntegers, scalar, wasm } from './samples.js';

const KERNELS = { wasm, scalar };

interface Case {
  readonly dtype: FloatDtype;
  readonly a: Int16Array;
  readonly b: Int16Array;
  readonly rows: number;
  readonly columns: number;
  readonly k: number;
  readonly scale: number;
  readonly base: Uint8Array;
}

/** Two passes, by the scalar kernels. */
function expectedOf({ dtype, a, b, rows, columns, k, scale, base }: Case): Uint8Array {
  const residual = new Float32Array(rows * columns);
  scalar.accumulateProduct({ a, b, rows, columns, k, scale, out: residual });
  const out = new Uint8Array(base.length);
  scalar.addAndRound(dtype, dtype, base, residual, out);
  return out;
}

/** One pass: the rows that it did, and their number. */
function roundedBy(
  kernels: Kernels,
  { dtype, a, b, rows, columns, k, scale, base }: Case,
  room?: Uint8Array,
) {
  const out = room ?? new Uint8Array(base.length);
  const product = kernels.prepareProduct(b, columns, k, scale);
  const done = product.addAndRound(dtype, a, rows, base, out);
  product.free();
  return { done, bytes: out.subarray(0, done * columns * elementByteLength(dtype)) };
}

function caseOf(dtype: FloatDtype, rows: number, columns: number, k: number, seed: number): Case {
  const values = randomFloatBits(rows * columns, seed);
  const base = new Uint8Array(values.length * elementByteLength(dtype));
  // Every exponent, both zeros; for odd seeds infinities and NaNs.
  const finite = values.map((value, i) => (i % 7 === 0 ? -0 : Number.isFinite(value) ? value : 0));
  scalar.fromFloat32(dtype, finite, base);
  if (seed % 2 === 1) base.set(randomBytes(base.length >> 1, seed + 1));
  const bound = [0, 1, 100, 5000][seed % 4]!;
  const a = Int16Array.from(randomIntegers(rows * k, seed + 2, bound));
  const b = Int16Array.from(randomIntegers(columns * k, seed + 3, bound));
  const scale = [2 ** -149, 1e-42, 1e-5, 1, 3e38, 0, -1e-5][seed % 7]!;
  return { dtype, a, b, rows, columns, k, scale, base };
}

const size = fc.oneof(fc.constantFrom(1, 3, 4, 8, 12, 16, 64), fc.integer({ min: 1, max: 70 }));

describe.each(PATHS)('%s', (path) => {
  const kernels = KERNELS[path];

  test('the rows that are done are those of a sum and a rounding, at any shape, scale and base', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...FLOAT_DTYPES),
        size,
        size,
        fc.integer({ min: 1, max: 40 }),
        fc.nat(),
        (dtype, rows, columns, k, seed) => {
          const input = caseOf(dtype, rows, columns, k, seed);
          const { done, bytes } = roundedBy(kernels, input);
          expect(done).toBeLessThanOrEqual(rows);
          expect(Buffer.compare(bytes, expectedOf(input).subarray(0, bytes.length))).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('a freed product and lengths that do not agree are refused', () => {
    const product = kernels.prepareProduct(new Int16Array(8), 8, 1, 1);
    const [a, base] = [new Int16Array(4), new Uint8Array(64)];
    expect(() => product.addAndRound('BF16', a, 3, base, new Uint8Array(64))).toThrow(RangeError);
    expect(() => product.addAndRound('BF16', a, 4, base, new Uint8Array(62))).toThrow('out (BF16)');
    expect(() => product.addAndRound('F32', a, 4, base, new Uint8Array(64))).toThrow('base (F32)');
    product.free();
    expect(() => product.addAndRound('BF16', a, 4, base, new Uint8Array(64))).toThrow(TypeError);
  });
});

describe('wasm', () => {
  test.each(['BF16', 'F16', 'F32'] as const)('%s: whole tiles of a finite base are done', (dtype) => {
    const [rows, columns, k] = [22, 1032, 31];
    const input = { ...caseOf(dtype, rows, columns, k, 2), scale: 1e-4 };
    const { done, bytes } = roundedBy(wasm, input);
    expect(done).toBe(20);
    expect(Buffer.compare(bytes, expectedOf(input).subarray(0, bytes.length))).toBe(0);
  });

  test('in rooms of the kernels, in blocks of rows and chunks of columns, it gives the same', () => {
    // A rank that makes a block of 128 rows, and a panel chunk of 96 columns.
    const [rows, columns, k] = [140, 200, 2048];
    const input = { ...caseOf('BF16', rows, columns, k, 2), scale: 1e-6 };
    const rooms = wasm.takeRooms()!;
    try {
      const base = rooms.room(0, input.base.length)!;
      base.set(input.base);
      const out = rooms.room(2, input.base.length)!;
      const { done, bytes } = roundedBy(wasm, { ...input, base }, out);
      expect(done).toBe(rows);
      expect(Buffer.compare(bytes, expectedOf(input))).toBe(0);
      expect(Buffer.compare(roundedBy(wasm, input).bytes, bytes)).toBe(0);
    } finally {
      rooms.free();
    }
  });

  test('what it cannot do is left: signs that a zero would lose, columns outside of panels, NaNs in bf16', () => {
    const input = { ...caseOf('BF16', 8, 16, 3, 2), scale: 1e-4 };
    expect(roundedBy(wasm, input).done).toBe(8);
    expect(roundedBy(wasm, { ...input, scale: -1e-4 }).done).toBe(0);
    expect(roundedBy(wasm, { ...input, scale: 0 }).done).toBe(0);
    expect(roundedBy(wasm, { ...input, dtype: 'F64', base: new Uint8Array(8 * 16 * 8) }).done).toBe(0);
    const odd = { columns: 15, b: input.b.subarray(0, 45), base: input.base.subarray(0, 8 * 15 * 2) };
    expect(roundedBy(wasm, { ...input, ...odd }).done).toBe(0);
    const base = input.base.slice();
    base.set([0xc0, 0xff], 2 * 77);
    expect(roundedBy(wasm, { ...input, base }).done).toBe(0);
  });
});

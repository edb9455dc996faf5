/** Codec "interval" in both implementations: exact, the same bytes, and within bounds whatever the payload. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Dtype, FloatDtype } from '../../formats/dtype.js';
import {
  elementLayout,
  type IntervalModel,
  type IntervalPrediction,
} from '../../src/kernels/interval-model.js';
import type { Kernels } from '../../src/kernels/kernels.js';
import { loadKernels } from '../../src/kernels/load-kernels.js';
import { ScalarInterval } from '../../src/kernels/scalar/interval.js';
import { CountingCoder } from '../helpers/counting-coder.js';
import { exactPair, sparsePair } from '../helpers/exact-pairs.js';
import { bytesOf, normalFloats, PATHS, randomBytes, scalar, wasm } from './samples.js';

const CODED: readonly Dtype[] = [
  'F64',
  'F32',
  'C64',
  'F16',
  'BF16',
  'F8_E4M3',
  'F8_E5M2',
  'I8',
  'U8',
  'BOOL',
  'I16',
  'U16',
  'I32',
  'U32',
  'I64',
  'U64',
];

/** Elements of `dtype` around normal weights, with awkward ones here and there. */
function weights(dtype: Dtype, count: number, seed: number, spread: number, odd: number): Uint8Array {
  const { isFloat, byteLength } = elementLayout(dtype);
  const bytes = new Uint8Array(count * byteLength);
  const values = normalFloats(count, seed, spread);
  if (isFloat) wasm.fromFloat32((dtype === 'C64' ? 'F32' : dtype) as never, values, bytes);
  else for (let i = 0; i < count; i++) bytes[i * byteLength] = Math.round(values[i] * 100);
  const noise = randomBytes(count * byteLength, seed + 1);
  const choose = randomBytes(count, seed + 2);
  for (let i = 0; i < count; i++) {
    if (choose[i] < odd) {
      bytes.set(noise.subarray(i * byteLength, (i + 1) * byteLength), i * byteLength);
      if (choose[i] % 3 === 1) bytes.fill(0, i * byteLength, (i + 1) * byteLength);
      if (choose[i] % 3 === 2) bytes.fill(255, i * byteLength, (i + 1) * byteLength);
    }
  }
  return bytes;
}

/** `base` with some elements moved. */
function moved(base: Uint8Array, dtype: Dtype, seed: number, share: number): Uint8Array {
  const { byteLength } = elementLayout(dtype);
  const bytes = base.slice();
  const noise = randomBytes(base.length, seed);
  for (let i = 0; i < bytes.length; i += byteLength) {
    if (noise[i] < share) bytes[i] += (noise[i + byteLength - 1] & 3) - 1;
  }
  return bytes;
}

function encode(
  kernels: Kernels,
  model: IntervalModel,
  values: Uint8Array,
  prediction: IntervalPrediction | undefined,
): Uint8Array {
  const encoder = kernels.intervalEncoder(model);
  encoder.encode(values, prediction);
  return encoder.finish()!;
}

function decode(
  kernels: Kernels,
  model: IntervalModel,
  payload: Uint8Array,
  prediction: IntervalPrediction | undefined,
  byteLength: number,
): Uint8Array {
  const decoder = kernels.intervalDecoder(model);
  decoder.begin(payload);
  const out = new Uint8Array(byteLength);
  decoder.decode(prediction, out);
  return out;
}

describe('wasm and scalar', () => {
  test('give the same bytes and the values back, whatever dtype, prediction and parameters', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...CODED),
        fc.constantFrom(0, 1, 2, 3, 7, 20),
        fc.constantFrom(1, 2, 3, 16, 17, 33, 255, 257, 300),
        fc.constantFrom('none', 'elements', 'values'),
        fc.constantFrom(0, 1, 2),
        fc.constantFrom(0, 1, 20, 200, 256),
        fc.constantFrom(0, 2, 256),
        fc.constantFrom(1e-4, 0.03, 1, 1000),
        fc.integer({ min: -20, max: 4 }),
        fc.nat(),
        (dtype, rows, columns, kind, skip, share, odd, spread, unit, seed) => {
          const { isFloat, byteLength } = elementLayout(dtype);
          const base = weights(dtype, rows * columns, seed, spread, odd);
          const values = moved(base, dtype, seed + 5, share);
          const model = { dtype, columns, unit, skip, means: seed % 4 !== 0, drop: 0 } as const;
          let prediction: IntervalPrediction | undefined = kind === 'none' ? undefined : { elements: base };
          if (kind === 'values' && isFloat && byteLength < 4) {
            const values = normalFloats(rows * columns, seed, spread * 1.01);
            const elements = new Uint8Array(values.length * byteLength);
            wasm.fromFloat32(dtype as FloatDtype, values, elements);
            prediction = { elements, values };
          }
          const payload = encode(wasm, model, values, prediction);
          expect(bytesOf(encode(scalar, model, values, prediction)).equals(payload)).toBe(true);
          for (const kernels of [wasm, scalar]) {
            const decoded = decode(kernels, model, payload, prediction, rows * columns * byteLength);
            expect(bytesOf(decoded).equals(values)).toBe(true);
          }
        },
      ),
      { numRuns: 400 },
    );
  });

  test('keep float32s whose last bits are dropped', () => {
    for (const [dtype, drop] of [
      ['BF16', 16],
      ['F16', 13],
      ['F8_E5M2', 21],
    ] as const) {
      const { base, values } = exactPair(dtype, 20, 33, 1e-3);
      const widen = (bytes: Uint8Array) => {
        const wide = new Float32Array(660);
        scalar.toFloat32(dtype, bytes, wide);
        return new Uint8Array(wide.buffer);
      };
      const model: IntervalModel = { dtype: 'F32', columns: 33, unit: -16, skip: 1, means: true, drop };
      const wide = widen(values);
      const noisy = widen(base).map((byte, i) => (i % 4 === 0 ? i & 255 : byte));
      for (const elements of [widen(base), noisy]) {
        const payload = encode(wasm, model, wide, { elements });
        expect(bytesOf(encode(scalar, model, wide, { elements })).equals(payload)).toBe(true);
        for (const kernels of [wasm, scalar]) {
          expect(bytesOf(decode(kernels, model, payload, { elements }, wide.length)).equals(wide)).toBe(true);
        }
      }
      const narrow: IntervalModel = { ...model, dtype, drop: 0 };
      const ratio = encode(wasm, model, wide, { elements: widen(base) }).length;
      expect(ratio / encode(wasm, narrow, values, { elements: base }).length).toBeLessThan(1.02);
    }
  });

  test('agree where values, predictions or the unit are at the ends of their range', () => {
    const ends = [0, 1, 0x7f, 0x80, 0x3f80, 0x7f7f, 0x7f80, 0x7fc0, 0x7fff].flatMap((x) => [x, x | 0x8000]);
    fc.assert(
      fc.property(
        fc.constantFrom('BF16' as const, 'F16' as const, 'F32' as const),
        fc.constantFrom(-1000, -200, -130, -20, 0, 100, 126, 800),
        fc.constantFrom(5, 300),
        fc.nat(),
        (dtype, unit, columns, seed) => {
          const rows = 6;
          const count = rows * columns;
          const { byteLength } = elementLayout(dtype);
          const odd = (seed: number) => {
            const which = randomBytes(count, seed);
            return Uint16Array.from(which, (x) => (x < 60 ? ends[x % ends.length] : 0x3c00 + x));
          };
          const widened = new Uint32Array(odd(seed)).map((x) => (x << 16) | (x & 1));
          const elements = new Uint8Array(count * byteLength);
          elements.set(bytesOf(dtype === 'F32' ? widened : odd(seed + 1)));
          const values = dtype === 'F32' ? undefined : new Float32Array(widened.buffer);
          const coded = elements.map((byte, i) => ((i * 7 + seed) % 5 === 0 ? byte ^ (i & 255) : byte));
          const model = { dtype, columns, unit, skip: 0, means: true, drop: 0 } as const;
          const prediction = { elements, values };
          const payload = encode(wasm, model, coded, prediction);
          expect(bytesOf(encode(scalar, model, coded, prediction)).equals(payload)).toBe(true);
          for (const kernels of [wasm, scalar]) {
            const decoded = decode(kernels, model, payload, prediction, coded.length);
            expect(bytesOf(decoded).equals(coded)).toBe(true);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test('leave the columns behind a shorter row alone', () => {
    for (const dtype of ['BF16', 'F16', 'F32'] as const) {
      for (const short of [1, 3, 6, 257]) {
        const { base, values } = exactPair(dtype, 30, 300, 1e-3);
        const model: IntervalModel = { dtype, columns: 300, unit: -16, skip: 0, means: true, drop: 0 };
        const { byteLength } = elementLayout(dtype);
        // Rows by turns shorter, so that means that moved by mistake show in the next.
        const rows = Array.from({ length: 30 }, (_, row) => {
          const columns = row % 2 === 0 ? short : 300;
          const start = row * 300 * byteLength;
          const elements = base.subarray(start, start + columns * byteLength);
          return { columns, elements, values: values.subarray(start, start + columns * byteLength) };
        });
        const payloads = [wasm, scalar].map((kernels) => {
          const encoder = kernels.intervalEncoder(model);
          for (const row of rows) encoder.encode(row.values, { elements: row.elements }, row.columns);
          return encoder.finish()!;
        });
        expect(bytesOf(payloads[0]).equals(payloads[1])).toBe(true);
        const decoder = wasm.intervalDecoder(model);
        decoder.begin(payloads[0]);
        for (const row of rows) {
          const out = new Uint8Array(row.values.length);
          decoder.decode({ elements: row.elements }, out, row.columns);
          expect(bytesOf(out).equals(row.values)).toBe(true);
        }
      }
    }
  });

  test('read the same garbage from a payload that is not one, within its bounds', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...CODED),
        fc.constantFrom(1, 5, 40),
        fc.constantFrom(1, 16, 17, 300),
        fc.boolean(),
        fc.constantFrom(0, 1, 2),
        fc.integer({ min: -1000, max: 800 }),
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.tuple(fc.constantFrom(0, 255), fc.nat(100)).map(([fill, n]) => new Uint8Array(n).fill(fill)),
        ),
        fc.nat(),
        (dtype, rows, columns, predicted, skip, unit, payload, seed) => {
          const { isFloat, byteLength } = elementLayout(dtype);
          const drop = isFloat && byteLength === 4 ? seed % 24 : 0;
          const model = { dtype, columns, unit, skip, means: seed % 2 === 0, drop } as const;
          const elements = weights(dtype, rows * columns, seed, 0.1, 30);
          const prediction = predicted ? { elements } : undefined;
          const outputs = [wasm, scalar].map((kernels) =>
            decode(kernels, model, payload, prediction, rows * columns * byteLength),
          );
          expect(bytesOf(outputs[0]).equals(outputs[1])).toBe(true);
        },
      ),
      { numRuns: 400 },
    );
  });
});

describe.each(PATHS)('%s', (path) => {
  const kernels = loadKernels(path);

  test('goes on in the next payload, in other groups of rows, beside other coders', () => {
    const pairs = [exactPair('BF16', 30, 40, 3e-4), sparsePair('F32', 30, 40, 0.05)];
    const models: IntervalModel[] = [
      { dtype: 'BF16', columns: 40, unit: -18, skip: 0, means: true, drop: 0 },
      { dtype: 'F32', columns: 40, unit: -30, skip: 2, means: false, drop: 0 },
    ];
    const bytes = [80, 160];
    const rowsOf = (array: Uint8Array, which: number, start: number, end: number) =>
      array.subarray(start * bytes[which], end * bytes[which]);
    const encoders = models.map((model) => kernels.intervalEncoder(model));
    const payloads: Uint8Array[][] = [[], []];
    for (const start of [0, 10, 20]) {
      for (let row = start; row < start + 10; row += 5) {
        for (const which of [0, 1]) {
          const { values, base } = pairs[which];
          encoders[which].encode(rowsOf(values, which, row, row + 5), {
            elements: rowsOf(base, which, row, row + 5),
          });
        }
      }
      for (const which of [0, 1]) payloads[which].push(encoders[which].finish()!);
    }
    const decoders = models.map((model) => kernels.intervalDecoder(model));
    for (const start of [0, 10, 20]) {
      for (const which of [0, 1]) decoders[which].begin(payloads[which][start / 10]);
      for (let row = start; row < start + 10; row += 2) {
        for (const which of [1, 0]) {
          const out = new Uint8Array(2 * bytes[which]);
          decoders[which].decode({ elements: rowsOf(pairs[which].base, which, row, row + 2) }, out);
          expect(bytesOf(out).equals(rowsOf(pairs[which].values, which, row, row + 2))).toBe(true);
        }
      }
    }
  });

  test('takes shorter rows in between, as the ends of cut ones', () => {
    const model: IntervalModel = { dtype: 'U8', columns: 100, unit: 0, skip: 1, means: true, drop: 0 };
    const values = randomBytes(330, 5);
    const encoder = kernels.intervalEncoder(model);
    encoder.encode(values.subarray(0, 300), undefined);
    encoder.encode(values.subarray(300), undefined, 30);
    const decoder = kernels.intervalDecoder(model);
    decoder.begin(encoder.finish()!);
    const out = new Uint8Array(330);
    decoder.decode(undefined, out.subarray(0, 300));
    decoder.decode(undefined, out.subarray(300), 30);
    expect(bytesOf(out).equals(values)).toBe(true);
  });

  test('refuses models, rows and predictions that do not fit', () => {
    const model: IntervalModel = { dtype: 'BF16', columns: 4, unit: 0, skip: 0, means: true, drop: 0 };
    const changes: Partial<IntervalModel>[] = [
      { dtype: 'F4' },
      { columns: 0 },
      { columns: 65_537 },
      { unit: -1001 },
      { unit: 801 },
      { unit: 0.5 },
      { drop: 1 },
    ];
    for (const change of changes) {
      expect(() => kernels.intervalEncoder({ ...model, ...change })).toThrow(RangeError);
      expect(() => kernels.intervalDecoder({ ...model, ...change })).toThrow(RangeError);
    }
    const encoder = kernels.intervalEncoder(model);
    expect(() => encoder.encode(new Uint8Array(12), undefined)).toThrow('expected whole rows of 4 elements');
    expect(() => encoder.encode(new Uint8Array(16), { elements: new Uint8Array(8) })).toThrow(RangeError);
    const values = new Float32Array(7);
    expect(() => encoder.encode(new Uint8Array(16), { elements: new Uint8Array(16), values })).toThrow(
      RangeError,
    );
    expect(() => encoder.encode(new Uint8Array(10), undefined, 5)).toThrow(RangeError);
  });
});

test('a payload over 4 MiB is not made, and one is not read', () => {
  const model: IntervalModel = { dtype: 'I32', columns: 1024, unit: 0, skip: 0, means: true, drop: 0 };
  const encoder = wasm.intervalEncoder(model);
  encoder.encode(randomBytes(9 << 19, 1), undefined);
  expect(encoder.finish()).toBeUndefined();
  expect(() => wasm.intervalDecoder(model).begin(new Uint8Array((4 << 20) + 1))).toThrow(RangeError);
});

describe('size', () => {
  test('is within 0.1 % and a few bytes of the code length of the model', () => {
    for (const [pair, skip] of [
      [exactPair('BF16', 30, 300, 3e-4), 0],
      [exactPair('F32', 30, 300, 3e-4), 0],
      [sparsePair('BF16', 30, 300, 0.05), 2],
    ] as const) {
      const dtype = pair.values.length === 18_000 ? 'BF16' : 'F32';
      const model = { dtype, columns: 300, unit: pair.unit, skip, means: skip === 0, drop: 0 } as const;
      const counter = new CountingCoder();
      new ScalarInterval(model).code(counter, pair.values, { elements: pair.base }, 300);
      const payload = encode(wasm, model, pair.values, { elements: pair.base });
      expect(payload.length * 8).toBeLessThan(counter.bits * 1.001 + 24);
    }
  });

  /** Bytes of a pair with a rank-8 residual, predicted from base + low-rank part; and from that rounded to bf16. */
  function sizesOnLowRank(noise: number, unit: number): [number, number] {
    const pair = exactPair('BF16', 512, 2048, noise, { rank: 8, strength: 3e-4 });
    const values = new Float32Array(512 * 2048);
    wasm.toFloat32('BF16', pair.base, values);
    for (let i = 0; i < values.length; i++) values[i] += pair.lowRank[i];
    const elements = new Uint8Array(pair.base.length);
    wasm.fromFloat32('BF16', values, elements);
    const model: IntervalModel = { dtype: 'BF16', columns: 2048, unit, skip: 0, means: true, drop: 0 };
    return [
      encode(wasm, model, pair.values, { elements, values }).length,
      encode(wasm, model, pair.values, { elements }).length,
    ];
  }

  test('a rank-8 residual with noise of 3e-4, on its low-rank part: under 30 % of bf16', () => {
    expect(sizesOnLowRank(3e-4, -18)[0] / (512 * 2048 * 2)).toBeLessThan(0.3);
  });

  test('what a prediction says beyond its rounding is made use of', () => {
    const [withValues, without] = sizesOnLowRank(3e-5, -22);
    expect(withValues / without).toBeLessThan(0.93);
  });

  test('1 % of weights one ulp away: under 0.65 % of bf16', () => {
    const pair = sparsePair('BF16', 512, 2048, 0.01);
    const model: IntervalModel = { dtype: 'BF16', columns: 2048, unit: -20, skip: 2, means: false, drop: 0 };
    const size = encode(wasm, model, pair.values, { elements: pair.base }).length;
    expect(size / pair.values.length).toBeLessThan(0.0065);
  });

  test('without a prediction, normal weights take their sign, their mantissa and 2.5 bits of exponent', () => {
    const { base } = exactPair('BF16', 256, 512, 0);
    const model: IntervalModel = { dtype: 'BF16', columns: 512, unit: -12, skip: 0, means: true, drop: 0 };
    expect((8 * encode(wasm, model, base, undefined).length) / (256 * 512)).toBeLessThan(10.55);
  });

  test('rows that are as predicted take nothing', () => {
    const { base } = exactPair('F32', 1000, 300, 0);
    const model: IntervalModel = { dtype: 'F32', columns: 300, unit: -20, skip: 1, means: true, drop: 0 };
    expect(encode(wasm, model, base, { elements: base }).length).toBeLessThan(10);
  });
});

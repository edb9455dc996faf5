/** Codec "interval-small" (docs/spec/codecs.md §9): which elements are coded, and how far off the others may be. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DTYPES, type FloatDtype } from '../../formats/dtype.js';
import { CodecError } from '../../formats/errors.js';
import type { ExactDecoder, ExactInput, PredictedRows } from '../../src/codecs/codec.js';
import { encodeIntervalSmall } from '../../src/codecs/encode-interval-small.js';
import { intervalSmallCodec } from '../../src/codecs/interval-small.js';
import type { Kernels } from '../../src/kernels/kernels.js';
import { type MadeTerm, madeTerm, openTerm } from '../helpers/terms.js';
import { normalFloats, PATHS, scalar, wasm } from '../kernels/samples.js';

interface Rows {
  readonly dtype: FloatDtype;
  readonly rows: number;
  readonly columns: number;
  readonly fineTuned: Uint8Array;
  readonly predicted: PredictedRows;
}

/** Values of spread 0.02 that are predicted with an error of spread `error`. */
function rowsOf(dtype: FloatDtype, rows: number, columns: number, error: number, seed: number): Rows {
  const count = rows * columns;
  const own = normalFloats(count, seed, 0.02);
  const values = normalFloats(count, seed + 1, error).map((x, i) => Math.fround(x + own[i]!));
  const [fineTuned, bytes] = [own, values].map((floats) => {
    const elements = new Uint8Array((count * DTYPES[dtype].bits) / 8);
    scalar.fromFloat32(dtype, Float32Array.from(floats), elements);
    return elements;
  }) as [Uint8Array, Uint8Array];
  const withValues = DTYPES[dtype].bits < 32;
  return { dtype, rows, columns, fineTuned, predicted: withValues ? { bytes, values } : { bytes } };
}

/** Rows as an encoder gets them: the prediction of any part. */
function inputOf({ dtype, rows, columns, fineTuned, predicted }: Rows, kernels: Kernels = wasm): ExactInput {
  const width = DTYPES[dtype].bits / 8;
  return {
    dtype,
    rowCount: rows,
    columns,
    rowByteLength: columns * width,
    kernels,
    read: async (offset, length) => fineTuned.subarray(offset, offset + length),
    prediction: {
      kind: 'reconstruction',
      read: async (offset, length) => ({
        bytes: predicted.bytes.subarray(offset, offset + length),
        values: predicted.values?.slice(offset / width, (offset + length) / width),
      }),
    },
  };
}

async function decode(term: MadeTerm, setting: Rows, kernels: Kernels = wasm, step = setting.rows) {
  const { dtype, rows, columns, predicted } = setting;
  const rowByteLength = (columns * DTYPES[dtype].bits) / 8;
  const decoder = (await openTerm(intervalSmallCodec, term, {
    rows,
    columns,
    dtype,
    rowByteLength,
    kernels,
  })) as ExactDecoder;
  const bytes = new Uint8Array(rows * rowByteLength);
  for (let row = 0; row < rows; row += step) {
    const end = Math.min(rows, row + step);
    const [from, to] = [row * rowByteLength, end * rowByteLength];
    const part = {
      bytes: predicted.bytes.subarray(from, to),
      values: predicted.values?.subarray(row * columns, end * columns),
    };
    await decoder.decode(from, part, bytes.subarray(from, to));
  }
  decoder.close();
  return bytes;
}

/** Positions among the values of a dtype. */
function orders(dtype: FloatDtype, bytes: Uint8Array): number[] {
  const { bits } = DTYPES[dtype];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: (bytes.byteLength * 8) / bits }, (_, i) => {
    const code =
      bits === 32 ? view.getUint32(4 * i, true) : bits === 16 ? view.getUint16(2 * i, true) : bytes[i]!;
    return code >= 2 ** (bits - 1) ? 2 ** (bits - 1) - code : code;
  });
}

const SMALL_DTYPES = ['BF16', 'F16', 'F32', 'F8_E4M3', 'F8_E5M2'] as const;

describe('interval-small', () => {
  test('leaves every element with its own value or the next one, and those that are so as they are', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...SMALL_DTYPES),
        fc.integer({ min: 1, max: 6 }),
        fc.constantFrom(1, 17, 300),
        fc.integer({ min: -24, max: -3 }),
        fc.nat(),
        async (dtype, rows, columns, exponent, seed) => {
          const setting = rowsOf(dtype, rows, columns, 2 ** exponent, seed);
          const term = await encodeIntervalSmall(inputOf(setting));
          const [wanted, found] = [orders(dtype, setting.fineTuned), orders(dtype, setting.predicted.bytes)];
          const wasClose = wanted.map((order, i) => Math.abs(order - found[i]!) <= 1);
          expect(term === undefined).toBe(wasClose.every(Boolean));
          if (term === undefined) return;
          const bytes = await decode(madeTerm(term), setting);
          const decoded = orders(dtype, bytes);
          for (const [i, order] of decoded.entries()) {
            expect(Math.abs(order - wanted[i]!)).toBeLessThanOrEqual(1);
            if (wasClose[i]) expect(order).toBe(found[i]);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test('both kernel paths write and read the same bytes, in any blocks of rows', async () => {
    const setting = rowsOf('BF16', 30, 200, 2 ** -14, 5);
    const terms = await Promise.all(
      [wasm, scalar].map((kernels) => encodeIntervalSmall(inputOf(setting, kernels))),
    );
    expect(terms[0]).toEqual(terms[1]);
    expect(PATHS).toHaveLength(2);
    const expected = await decode(madeTerm(terms[0]!), setting);
    for (const kernels of [wasm, scalar]) {
      for (const step of [1, 7, 30]) {
        expect(await decode(madeTerm(terms[0]!), setting, kernels, step)).toEqual(expected);
      }
    }
  });

  test('says what it takes off the squared error', async () => {
    const setting = rowsOf('BF16', 20, 200, 2 ** -13, 9);
    const term = (await encodeIntervalSmall(inputOf(setting)))!;
    const errorOf = (bytes: Uint8Array) => wasm.squaredDistance('BF16', bytes, setting.fineTuned);
    const drop = errorOf(setting.predicted.bytes) - errorOf(await decode(madeTerm(term), setting));
    expect(term.squaredErrorDrop).toBeCloseTo(drop, 12);
    expect(term.chunks.every((chunk) => chunk.squaredErrorDrop === 0)).toBe(true);
  });

  test('rows without values are their own: zeros of either sign and values that are no numbers stay', async () => {
    const codes = Uint16Array.of(0x8000, 0, 0x7fc0, 0x7f80, 0x3c00, 0x8001);
    const bytes = new Uint8Array(codes.buffer);
    const setting: Rows = { dtype: 'BF16', rows: 1, columns: 6, fineTuned: bytes, predicted: { bytes } };
    const term = {
      codec: 'interval-small',
      params: { chunkRows: 1, below: 2 ** -6, unit: -20, drop: 17 },
      // Decisions all fall to the likelier side, which is "as predicted" here.
      chunks: [new Uint8Array(12)],
    };
    expect(await decode(term, setting)).toEqual(bytes);
  });

  test.each<[Record<string, unknown>, string]>([
    [{ chunkRows: 0 }, 'chunkRows'],
    [{ chunkRows: 3 }, 'expected 4 chunks, found 1'],
    [{ below: 0 }, 'expected more than 0, found 0'],
    [{ below: -1 }, 'expected more than 0, found -1'],
    [{ below: 0.1 }, 'below'],
    [{ unit: 801 }, 'unit'],
    [{ drop: 24 }, 'drop'],
  ])('refuses parameters with %j', async (change, message) => {
    const setting = rowsOf('BF16', 10, 20, 2 ** -12, 3);
    const term = madeTerm((await encodeIntervalSmall(inputOf(setting)))!);
    const changed = { ...term, params: { ...term.params, ...change } };
    await expect(decode(changed, setting)).rejects.toThrow(CodecError);
    await expect(decode(changed, setting)).rejects.toThrow(message);
  });

  test.each(['F64', 'I32', 'C64'] as const)('refuses %s', async (dtype) => {
    const term = {
      codec: 'interval-small',
      params: { chunkRows: 1, below: 1, unit: 0, drop: 0 },
      chunks: [],
    };
    const setting = { rows: 1, columns: 1, dtype, rowByteLength: 8, kernels: wasm };
    await expect(openTerm(intervalSmallCodec, term, setting)).rejects.toThrow(`cannot hold ${dtype}`);
  });
});

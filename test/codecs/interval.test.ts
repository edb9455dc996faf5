/** Codec "interval" as a term: any dtype and shape, chunks, cut rows, the encoder's choices, and damaged terms. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DTYPES, type Dtype, type FloatDtype } from '../../formats/dtype.js';
import { CodecError } from '../../formats/errors.js';
import type { ExactDecoder, ExactInput, PredictedRows } from '../../src/codecs/codec.js';
import { encodeExactRows } from '../../src/codecs/encode-exact.js';
import { encodeInterval, intervalCodec } from '../../src/codecs/interval.js';
import { exactPair, sparsePair } from '../helpers/exact-pairs.js';
import { type MadeTerm, madeTerm, openTerm } from '../helpers/terms.js';
import { bytesOf, randomBytes, scalar, wasm } from '../kernels/samples.js';

interface Rows {
  readonly dtype: Dtype;
  readonly rows: number;
  readonly columns: number;
  readonly values: Uint8Array;
  readonly prediction?: PredictedRows & { readonly kind: 'base' | 'reconstruction' };
}

function inputOf({ dtype, rows, columns, values, prediction }: Rows, kernels = wasm): ExactInput {
  const read = async (offset: number, length: number) => values.subarray(offset, offset + length);
  const width = DTYPES[dtype].bits / 8;
  const readPrediction = async (offset: number, length: number) => ({
    bytes: prediction!.bytes.subarray(offset, offset + length),
    values: prediction!.values?.subarray(offset / width, (offset + length) / width),
  });
  return {
    dtype,
    rowCount: rows,
    columns,
    rowByteLength: (columns * DTYPES[dtype].bits) / 8,
    read,
    ...(prediction === undefined ? {} : { prediction: { kind: prediction.kind, read: readPrediction } }),
    kernels,
  };
}

async function encode(rows: Rows, kernels = wasm): Promise<MadeTerm> {
  return madeTerm((await encodeInterval(inputOf(rows, kernels)))!);
}

async function open(term: MadeTerm, { dtype, rows, columns }: Rows, kernels = wasm): Promise<ExactDecoder> {
  const rowByteLength = (columns * DTYPES[dtype].bits) / 8;
  const decoder = await openTerm(intervalCodec, term, { rows, columns, dtype, rowByteLength, kernels });
  if (decoder.kind !== 'exact') throw new TypeError('expected an exact term');
  return decoder;
}

/** Decodes in pieces of `pieceByteLength`, whole rows or multiples of 4 MiB from the start of one. */
async function decode(
  term: MadeTerm,
  rows: Rows,
  pieceByteLength = Math.max(1, rows.values.byteLength),
  kernels = wasm,
): Promise<Uint8Array> {
  const decoder = await open(term, rows, kernels);
  const out = new Uint8Array(rows.values.byteLength);
  for (let offset = 0; offset < out.byteLength; offset += pieceByteLength) {
    const piece = out.subarray(offset, offset + pieceByteLength);
    const prediction =
      decoder.prediction === 'none'
        ? undefined
        : await inputOf(rows).prediction!.read(offset, piece.byteLength);
    await decoder.decode(offset, prediction, piece);
  }
  decoder.close();
  return out;
}

const sizeOf = (term: MadeTerm) => term.chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);

const INTERVAL_DTYPES = (Object.keys(DTYPES) as Dtype[]).filter((dtype) => DTYPES[dtype].kind !== 'packed');

describe('what was coded comes back', () => {
  test('whatever dtype, shape, prediction and values, with the same bytes on both paths', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...INTERVAL_DTYPES),
        fc.constantFrom(0, 1, 2, 9, 40),
        fc.constantFrom(1, 2, 15, 16, 33, 257),
        fc.constantFrom(undefined, 'base' as const, 'reconstruction' as const),
        fc.constantFrom(0, 3, 100, 256),
        fc.nat(),
        async (dtype, rows, columns, kind, changed, seed) => {
          const width = DTYPES[dtype].bits / 8;
          const bytes = randomBytes(rows * columns * width, seed);
          const noise = randomBytes(bytes.length, seed + 1);
          const values = bytes.map((byte, i) => (noise[i] < changed ? noise[i] ^ byte : byte));
          const subject = { dtype, rows, columns, values, ...(kind && { prediction: { kind, bytes } }) };
          const term = await encode(subject);
          expect(await encode(subject, scalar)).toEqual(term);
          const step = Math.max(1, (seed % 4) * columns * width);
          expect(
            bytesOf(await decode(term, subject, rows > 0 ? Math.max(step, columns * width) : 1)).equals(
              values,
            ),
          ).toBe(true);
          expect(bytesOf(await decode(term, subject, undefined, scalar)).equals(values)).toBe(true);
        },
      ),
      { numRuns: 250 },
    );
  });

  test.each(['F16', 'BF16', 'F8_E4M3', 'F8_E5M2'] as FloatDtype[])(
    '%s on float32 values that it rounds',
    async (dtype) => {
      const pair = exactPair(dtype, 30, 70, 1e-3, { rank: 2, strength: 1e-3 });
      const values = new Float32Array(2100);
      wasm.toFloat32(dtype, pair.base, values);
      for (let i = 0; i < values.length; i++) values[i] += pair.lowRank[i];
      const bytes = new Uint8Array(pair.base.length);
      wasm.fromFloat32(dtype, values, bytes);
      const subject: Rows = {
        dtype,
        rows: 30,
        columns: 70,
        values: pair.values,
        prediction: { kind: 'reconstruction', bytes, values },
      };
      const term = await encode(subject);
      expect(term.params.predict).toBe('reconstruction');
      expect(
        bytesOf(await decode(term, subject, (70 * 10 * DTYPES[dtype].bits) / 8)).equals(pair.values),
      ).toBe(true);
      const onBytes = await encode({ ...subject, prediction: { kind: 'reconstruction', bytes } });
      expect(sizeOf(term) / sizeOf(onBytes)).toBeLessThan(1.002);
    },
  );

  test('rows of more than 65,536 columns, in pieces of 4 MiB', async () => {
    const columns = 2_150_000;
    const { base, values } = sparsePair('BF16', 1, columns, 0.02);
    const vector: Rows = {
      dtype: 'BF16',
      rows: 1,
      columns,
      values,
      prediction: { kind: 'base', bytes: base },
    };
    const term = await encode(vector);
    expect(term.chunks).toHaveLength(Math.ceil(Math.ceil(columns / 65_536) / 16));
    expect(bytesOf(await decode(term, vector, 4 << 20)).equals(values)).toBe(true);
    const wide: Rows = { ...vector, rows: 5, columns: 430_000 };
    const cut = await encode(wide);
    expect(bytesOf(await decode(cut, wide, 430_000 * 4)).equals(values)).toBe(true);
  });

  test('in more than one chunk, with contexts that carry over', async () => {
    const { base, values } = exactPair('BF16', 700, 2048, 3e-4);
    const rows: Rows = {
      dtype: 'BF16',
      rows: 700,
      columns: 2048,
      values,
      prediction: { kind: 'base', bytes: base },
    };
    const term = await encode(rows);
    expect(term.chunks).toHaveLength(2);
    expect(bytesOf(await decode(term, rows, 100 * 4096)).equals(values)).toBe(true);
  });
});

describe('the encoder', () => {
  const rows = { dtype: 'F32', rows: 60, columns: 100 } as const;

  test('leaves packed dtypes to other codecs', async () => {
    const values = randomBytes(100, 1);
    for (const dtype of ['F4', 'F6_E2M3', 'F6_E3M2', 'F8_E8M0', 'F8_E5M2FNUZ'] as const) {
      const columns = 800 / DTYPES[dtype].bits;
      const input = inputOf({ dtype, rows: 1, columns, values });
      expect(await encodeInterval(input)).toBeUndefined();
      expect((await encodeExactRows(input)).codec).toBe('bytes');
    }
  });

  test('drops the zero bits of float32s that were bf16, and only where all have them', async () => {
    const { base, values } = exactPair('BF16', 60, 100, 3e-4);
    const widen = (bytes: Uint8Array) => {
      const wide = new Float32Array(6000);
      wasm.toFloat32('BF16', bytes, wide);
      return new Uint8Array(wide.buffer);
    };
    const prediction = { kind: 'base' as const, bytes: widen(base) };
    const wide = await encode({ ...rows, values: widen(values), prediction });
    expect(wide.params.drop).toBe(16);
    const narrow = await encode({
      ...rows,
      dtype: 'BF16',
      values,
      prediction: { kind: 'base', bytes: base },
    });
    expect(sizeOf(wide) / sizeOf(narrow)).toBeLessThan(1.01);
  });

  test('starts anew where a value outside its sample has more digits', async () => {
    const count = 2_000_000;
    const values = new Float32Array(count).fill(1.5);
    values[300_001] = Math.fround(0.1);
    const bytes = new Uint8Array(values.buffer);
    const subject: Rows = { dtype: 'F32', rows: 1000, columns: 2000, values: bytes };
    const term = await encode(subject);
    expect(term.params.drop).toBe(0);
    expect(bytesOf(await decode(term, subject)).equals(bytes)).toBe(true);
  });

  test('makes no use of a prediction that says nothing', async () => {
    const { values } = exactPair('BF16', 60, 100, 3e-4);
    const { base } = exactPair('BF16', 60, 100, 0, { seed: 99 });
    const loud = new Float32Array(6000);
    wasm.toFloat32('BF16', base, loud);
    const bytes = new Uint8Array(base.length);
    wasm.fromFloat32(
      'BF16',
      loud.map((x) => x * 100),
      bytes,
    );
    const subject: Rows = { ...rows, dtype: 'BF16', values, prediction: { kind: 'base', bytes } };
    expect((await encode(subject)).params.predict).toBe('none');
  });

  test('tells runs of equal elements by rows, strips and blocks as far as there are any', async () => {
    const dense = exactPair('F32', 60, 100, 1e-3);
    const skipOf = async (values: Uint8Array, bytes: Uint8Array) =>
      (await encode({ ...rows, rows: 60, values, prediction: { kind: 'base', bytes } })).params.skip;
    expect(await skipOf(dense.values, dense.base)).toBe(0);
    const frozen = exactPair('F32', 20, 300, 1e-3);
    frozen.values.set(frozen.base.subarray(0, 6000));
    const subject = { ...rows, rows: 20, columns: 300, values: frozen.values };
    const term = await encode({ ...subject, prediction: { kind: 'base', bytes: frozen.base } });
    expect(term.params.skip).toBe(1);
    const sparse = sparsePair('F32', 60, 100, 0.01);
    expect(await skipOf(sparse.values, sparse.base)).toBe(2);
  });

  test('is smaller than byte planes and deflate, with a base and without', async () => {
    for (const dtype of ['F64', 'F32', 'F16', 'BF16', 'F8_E5M2'] as const) {
      const { base, values } = exactPair(dtype, 200, 100, 1e-3);
      for (const prediction of [undefined, { kind: 'base' as const, bytes: base }]) {
        const input = inputOf({ dtype, rows: 200, columns: 100, values, ...(prediction && { prediction }) });
        expect(`${dtype} ${(await encodeExactRows(input)).codec}`).toBe(`${dtype} interval`);
      }
    }
  });
});

describe('a term that breaks the rules is a CodecError', () => {
  const { base, values } = exactPair('BF16', 10, 20, 1e-3);
  const rows: Rows = {
    dtype: 'BF16',
    rows: 10,
    columns: 20,
    values,
    prediction: { kind: 'base', bytes: base },
  };

  test.each([
    [{ predict: 'parent' }, 'predict'],
    [{ chunkRows: 0 }, 'chunkRows'],
    [{ chunkRows: 3 }, 'expected 4 chunks, found 1'],
    [{ unit: 900 }, 'unit'],
    [{ unit: -17.5 }, 'unit'],
    [{ skip: 3 }, 'skip'],
    [{ means: 1 }, 'means'],
    [{ drop: 4 }, 'drop'],
  ])('parameters with %j', async (change, message) => {
    const term = await encode(rows);
    const changed = { ...term, params: { ...term.params, ...change } };
    await expect(open(changed, rows)).rejects.toThrow(CodecError);
    await expect(open(changed, rows)).rejects.toThrow(message);
  });

  test('a packed dtype', async () => {
    const term = await encode(rows);
    await expect(open(term, { ...rows, dtype: 'F8_E8M0' })).rejects.toThrow('cannot hold F8_E8M0');
  });

  test('a chunk behind the cut, or over 4 MiB', async () => {
    const term = await encode(rows);
    const setting = { rows: 10, columns: 20, dtype: 'BF16', rowByteLength: 40, kernels: wasm } as const;
    const cut = (await openTerm(intervalCodec, term, { ...setting, cut: 0 })) as ExactDecoder;
    const prediction = { bytes: base };
    await expect(cut.decode(0, prediction, new Uint8Array(400))).rejects.toThrow('is not in the archive');
    const long = { ...term, chunks: [new Uint8Array((4 << 20) + 1)] };
    const decoder = (await openTerm(intervalCodec, long, setting)) as ExactDecoder;
    await expect(decoder.decode(0, prediction, new Uint8Array(400))).rejects.toThrow(CodecError);
  });

  test('any payload decodes to something', async () => {
    const term = await encode(rows);
    for (let seed = 0; seed < 50; seed++) {
      const damaged = term.chunks[0].slice();
      damaged[randomBytes(1, seed)[0] % damaged.length] ^= 1 + seed;
      expect(await decode({ ...term, chunks: [damaged] }, rows)).toHaveLength(400);
    }
  });
});

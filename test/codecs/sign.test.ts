import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { EncodedTerm } from '../../src/codecs/codec.js';
import { encodeSign, signByteLength, signCodec } from '../../src/codecs/sign.js';
import { openTerm, residualOf } from '../helpers/open-term.js';
import { normalFloats, scalar, wasm } from '../kernels/samples.js';

function encode(values: Float32Array, rows: number, columns: number): Promise<EncodedTerm> {
  const readRows = async (start: number, count: number) =>
    values.subarray(start * columns, (start + count) * columns);
  return encodeSign(readRows, rows, columns, wasm);
}

test('every entry decodes to its sign times the mean magnitude; nought is positive', async () => {
  const values = Float32Array.of(0.5, -1.5, 0, -2, 3, -1);
  const shape = { rows: 2, columns: 3, kernels: wasm };
  const term = await encode(values, 2, 3);
  const scale = Math.fround(8 / 6);
  expect(term).toMatchObject({ codec: 'sign', params: { scale, blockRows: 349_525 } });
  // Entries 1, 3 and 5 are negative: bits 1, 3 and 5, least significant first.
  expect([...term.chunks[0]!.bytes]).toEqual([0b101010]);
  expect([...(await residualOf(signCodec, term, shape))]).toEqual(
    [1, -1, 1, -1, 1, -1].map((sign) => sign * scale),
  );
});

test('rows that end inside a byte, both kernel paths, any sizes: the same signs', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 2, max: 40 }),
      fc.integer({ min: 2, max: 70 }),
      async (rows, columns) => {
        const values = normalFloats(rows * columns, rows * 100 + columns);
        const term = await encode(values, rows, columns);
        const [fast, plain] = await Promise.all(
          [wasm, scalar].map((kernels) => residualOf(signCodec, term, { rows, columns, kernels })),
        );
        expect(fast).toEqual(plain);
        const { scale } = term.params as { scale: number };
        expect(fast).toEqual(values.map((value) => (value < 0 ? -scale : scale)));
      },
    ),
    { numRuns: 20 },
  );
});

test('a matrix over several blocks has a chunk a block, and the announced size', async () => {
  const [rows, columns] = [5, 400_001];
  const values = normalFloats(rows * columns, 3);
  const term = await encode(values, rows, columns);
  expect(term.chunks).toHaveLength(3); // 2 rows a block
  const byteLength = term.chunks.reduce((sum, chunk) => sum + chunk.bytes.byteLength, 0);
  expect(byteLength).toBe(signByteLength(rows, columns));
  const residual = await residualOf(signCodec, term, { rows, columns, kernels: wasm, cut: 2 });
  expect(residual[4 * columns - 1]).not.toBe(0);
  expect(residual.subarray(4 * columns).every((value) => value === 0)).toBe(true); // behind the cut
});

test('the squared error is what a Gaussian leaves: 1 − 2/π, and the drops of the chunks say so', async () => {
  const values = normalFloats(300 * 500, 7);
  const term = await encode(values, 300, 500);
  const residual = await residualOf(signCodec, term, { rows: 300, columns: 500, kernels: wasm });
  let energy = 0;
  let error = 0;
  for (let i = 0; i < values.length; i++) {
    energy += values[i]! ** 2;
    error += (values[i]! - residual[i]!) ** 2;
  }
  expect(error / energy).toBeCloseTo(1 - 2 / Math.PI, 1);
  const drop = term.chunks.reduce((sum, chunk) => sum + chunk.squaredErrorDrop, 0);
  expect(drop / (energy - error)).toBeCloseTo(1, 6);
});

test('a block that the scale makes worse still counts as lossy', async () => {
  const columns = 1 << 20;
  const values = new Float32Array(2 * columns).fill(1, columns);
  const term = await encode(values, 2, columns);
  expect(term.chunks[0]!.squaredErrorDrop).toBeGreaterThan(0);
});

test('a payload of another length is CodecError that names the tensor', async () => {
  const term = await encode(normalFloats(100, 1), 10, 10);
  const short: EncodedTerm = { ...term, chunks: [{ bytes: new Uint8Array(12), squaredErrorDrop: 1 }] };
  await expect(residualOf(signCodec, short, { rows: 10, columns: 10, kernels: wasm })).rejects.toMatchObject({
    code: 'ERE_CODEC',
    message: 'test.ere, tensor "w", codec "sign": chunk 0 of the term: expected 13 bytes, found 12',
  });
});

test.each([
  [{ scale: 0.1 }, 'scale'],
  [{ scale: Number.POSITIVE_INFINITY }, 'scale'],
  [{ blockRows: 0 }, 'blockRows'],
])('parameters %j are refused', async (params, name) => {
  const term = await encode(normalFloats(100, 1), 10, 10);
  const broken = { ...term, params: { ...term.params, ...params } };
  await expect(openTerm(signCodec, broken, { rows: 10, columns: 10, kernels: wasm })).rejects.toThrow(
    `parameter "${name}"`,
  );
});

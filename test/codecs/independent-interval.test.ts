/** docs/spec/range-coder.md and interval.md are enough to decode an interval term: a second decoder agrees, on garbage too. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DTYPES, type Dtype } from '../../formats/dtype.js';
import type { ExactDecoder } from '../../src/codecs/codec.js';
import { encodeInterval, intervalCodec } from '../../src/codecs/interval.js';
import { intervalBytes } from '../helpers/independent-interval.js';
import { type MadeTerm, madeTerm, openTerm } from '../helpers/terms.js';
import { bytesOf, normalFloats, randomBytes, wasm } from '../kernels/samples.js';

const INTERVAL_DTYPES = (Object.keys(DTYPES) as Dtype[]).filter((dtype) => DTYPES[dtype].kind !== 'packed');

/** Elements near small numbers, with awkward ones here and there. */
function elements(dtype: Dtype, count: number, seed: number): Uint8Array {
  const width = DTYPES[dtype].bits / 8;
  const bytes = randomBytes(count * width, seed);
  const odd = randomBytes(count, seed + 1);
  if (DTYPES[dtype].kind !== 'float')
    return bytes.map((byte, i) => (i % width === 0 || odd[0] < 40 ? byte : 0));
  const tame = new Uint8Array(count * width);
  wasm.fromFloat32(dtype as never, normalFloats(count, seed, 0.02), tame);
  for (let i = 0; i < count; i++) {
    if (odd[i] > 8) bytes.set(tame.subarray(i * width, (i + 1) * width), i * width);
  }
  return bytes;
}

test('both decoders give the same bytes, and the encoder its own', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...INTERVAL_DTYPES),
      fc.integer({ min: 1, max: 8 }),
      fc.constantFrom(1, 15, 16, 17, 33, 255, 300, 530),
      fc.constantFrom('none', 'base', 'reconstruction'),
      fc.constantFrom(1, 60, 230, 256),
      fc.record({
        chunkRows: fc.integer({ min: 1, max: 9 }),
        unit: fc.integer({ min: -40, max: 4 }),
        skip: fc.constantFrom(0, 1, 2),
        means: fc.boolean(),
        drop: fc.integer({ min: 0, max: 23 }),
      }),
      fc.option(fc.uint8Array({ maxLength: 400 })),
      fc.nat(),
      async (dtype, rows, columns, predict, changed, made, garbage, seed) => {
        const width = DTYPES[dtype].bits / 8;
        const count = rows * columns;
        const base = elements(dtype, count, seed);
        const other = elements(dtype, count, seed + 7);
        const which = randomBytes(count, seed + 3);
        const values = base.map((byte, i) => (which[Math.floor(i / width)] < changed ? byte : other[i]));
        const prediction = predict === 'none' ? undefined : { bytes: base };
        const input = {
          dtype,
          rowCount: rows,
          columns,
          rowByteLength: columns * width,
          kernels: wasm,
          read: async (offset: number, length: number) => values.subarray(offset, offset + length),
          ...(prediction && {
            prediction: {
              kind: predict as 'base',
              read: async (offset: number, length: number) => ({
                bytes: base.subarray(offset, offset + length),
              }),
            },
          }),
        };
        let term: MadeTerm = madeTerm((await encodeInterval(input))!);
        if (garbage !== null) {
          const drop = dtype === 'F32' || dtype === 'C64' ? made.drop : 0;
          const chunks = Array.from({ length: Math.ceil(rows / made.chunkRows) }, () => garbage);
          term = { codec: 'interval', params: { ...made, predict, drop }, chunks };
        }
        const decoder = (await openTerm(intervalCodec, term, { ...input, rows })) as ExactDecoder;
        const out = new Uint8Array(count * width);
        await decoder.decode(0, decoder.prediction === 'none' ? undefined : prediction, out);
        if (garbage === null) expect(bytesOf(out).equals(values)).toBe(true);
        const again = intervalBytes(term.params, (i) => term.chunks[i], dtype, width, rows, columns * width, {
          bytes: base,
          values: [],
        });
        expect(bytesOf(out).equals(again)).toBe(true);
      },
    ),
    { numRuns: 250 },
  );
});

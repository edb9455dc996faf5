/** Codec "low-rank": docs/spec/codecs.md §2, byte by byte and value by value. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CodecError } from '../../formats/errors.js';
import {
  componentByteLength,
  encodeLowRank,
  type LowRankFactors,
  lowRankCodec,
} from '../../src/codecs/low-rank.js';
import { lowRankResidual, readCodes } from '../helpers/independent-decoder.js';
import { type MadeTerm, madeTerm, openTerm, residualOf } from '../helpers/terms.js';
import { normalFloats, scalar, wasm } from '../kernels/samples.js';

/** Factors of any kind: the codec needs no orthonormal vectors. σ falls from 4 by a third a component. */
function factorsOf(rows: number, columns: number, rank: number, seed = 1): LowRankFactors {
  return {
    rows,
    columns,
    singularValues: Float64Array.from({ length: rank }, (_, k) => 4 * 0.67 ** k),
    u: normalFloats(rank * rows, seed, 1 / Math.sqrt(rows)),
    v: normalFloats(rank * columns, seed + 1, 1 / Math.sqrt(columns)),
  };
}

/** Σ σ_k u_k v_kᵀ in float64. */
function exactProduct({ rows, columns, singularValues, u, v }: LowRankFactors): Float64Array {
  const product = new Float64Array(rows * columns);
  for (const [k, sigma] of singularValues.entries()) {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++)
        product[i * columns + j] += sigma * u[k * rows + i] * v[k * columns + j];
    }
  }
  return product;
}

function relativeError(values: Float32Array, expected: Float64Array): number {
  let error = 0;
  let energy = 0;
  for (const [i, value] of expected.entries()) {
    error += (values[i] - value) ** 2;
    energy += value ** 2;
  }
  return Math.sqrt(error / energy);
}

const WIDTHS = Array.from({ length: 15 }, (_, i) => i + 2);
const SIZES: readonly (readonly [number, number, number])[] = [
  [1, 1, 1],
  [7, 13, 3],
  [33, 5, 5],
  [16, 24, 8],
];

describe('encode and decode', () => {
  for (const bits of WIDTHS) {
    it(`${bits} bits give the formula's values on both kernel paths, in any row blocks`, async () => {
      for (const [rows, columns, rank] of SIZES) {
        const term = madeTerm(encodeLowRank(factorsOf(rows, columns, rank), rank, bits, wasm));
        const formula = lowRankResidual(term.params, (i) => term.chunks[i], rows, columns);
        for (const kernels of [wasm, scalar]) {
          expect([...(await residualOf(lowRankCodec, term, { rows, columns, kernels }))]).toEqual(formula);
          expect([...(await residualOf(lowRankCodec, term, { rows, columns, kernels }, 3))]).toEqual(formula);
        }
      }
    });
  }

  it('gives the same bytes on both kernel paths', () => {
    for (const bits of WIDTHS) {
      const factors = factorsOf(19, 11, 6);
      expect(encodeLowRank(factors, 6, bits, wasm)).toEqual(encodeLowRank(factors, 6, bits, scalar));
    }
  });

  it('the error falls with every bit, down to a few parts in 10,000 of the factors at 16', async () => {
    const factors = factorsOf(60, 50, 6);
    const expected = exactProduct(factors);
    const errors = [];
    for (const bits of WIDTHS) {
      const term = madeTerm(encodeLowRank(factors, 6, bits, wasm));
      const setting = { rows: 60, columns: 50, kernels: wasm };
      errors.push(relativeError(await residualOf(lowRankCodec, term, setting), expected));
    }
    for (let i = 1; i < errors.length; i++) expect(errors[i]).toBeLessThan(errors[i - 1]);
    expect(errors[0]).toBeLessThan(0.6); // 2 bits: each side keeps 88 % of its energy
    expect(errors.at(-1)).toBeLessThan(5e-4);
  });

  it('a component without energy costs its bytes and adds nothing', async () => {
    const factors = { ...factorsOf(5, 4, 2), singularValues: Float64Array.of(3, 0) };
    const both = madeTerm(encodeLowRank(factors, 2, 8, wasm));
    const first = madeTerm(encodeLowRank(factors, 1, 8, wasm));
    const setting = { rows: 5, columns: 4, kernels: wasm };
    expect(await residualOf(lowRankCodec, both, setting)).toEqual(
      await residualOf(lowRankCodec, first, setting),
    );
  });

  it('many components stay within exact sums at every width', async () => {
    for (const bits of [8, 16]) {
      // All entries alike: the largest row norms that factors can have.
      const [rows, columns, rank] = [4, 4, 600];
      const flat: LowRankFactors = {
        rows,
        columns,
        singularValues: new Float64Array(rank).fill(1),
        u: new Float32Array(rank * rows).fill(0.5),
        v: new Float32Array(rank * columns).fill(-0.5),
      };
      const term = madeTerm(encodeLowRank(flat, rank, bits, wasm));
      const formula = lowRankResidual(term.params, (i) => term.chunks[i], rows, columns);
      expect([...(await residualOf(lowRankCodec, term, { rows, columns, kernels: wasm }))]).toEqual(formula);
      for (const value of formula) expect(Math.abs(value + 150) / 150).toBeLessThan(0.01);
    }
  });
});

describe('band layout', () => {
  it('is bits, gains and both code streams of each component, in bands of 1, 1, 2 and 4 of 8', () => {
    const [rows, columns, rank, bits] = [7, 13, 8, 5];
    const term = encodeLowRank(factorsOf(rows, columns, rank), rank, bits, wasm);
    expect(term.params.bands).toEqual([1, 1, 2, 4]);
    expect(Object.keys(term.params).sort()).toEqual(['bands', 'scale']);
    expect(term.params.scale).toBe(Math.fround(term.params.scale as number));
    const size = 5 + Math.ceil((7 * 5) / 8) + Math.ceil((13 * 5) / 8); // 5 + 5 + 9
    expect(componentByteLength(rows, columns, bits)).toBe(size);
    expect(term.chunks.map(({ bytes }) => bytes.byteLength)).toEqual([size, size, 2 * size, 4 * size]);
    for (const { bytes } of term.chunks) {
      for (let offset = 0; offset < bytes.byteLength; offset += size) {
        expect(bytes[offset]).toBe(bits);
        expect(bytes[offset + 9]! >> 3).toBe(0); // 35 of 40 bits are codes
        expect(bytes[offset + 18]! >> 1).toBe(0); // 65 of 72
        const codes = [
          ...readCodes(bytes, offset + 5, rows, bits),
          ...readCodes(bytes, offset + 10, columns, bits),
        ];
        expect(Math.max(...codes)).toBeLessThanOrEqual(15);
        expect(Math.min(...codes)).toBeGreaterThanOrEqual(-16);
      }
    }
    // What a band takes off the error: Σσ² of its components.
    expect(term.chunks[3]!.squaredErrorDrop).toBeCloseTo(
      [4, 5, 6, 7].reduce((sum, k) => sum + (4 * 0.67 ** k) ** 2, 0),
    );
  });

  it('decodes a hand-made band: least significant bit first, two´s complement, little-endian gains', async () => {
    const band = Uint8Array.of(
      3, // bits
      0x02,
      0x01, // gainA = 258
      0x03,
      0x00, // gainB = 3
      0b10_011_101,
      0b1, // a: 101 = −3, 011 = 3, 110 = −2
      0b00_100_001, // b: 001 = 1, 100 = −4
    );
    const term: MadeTerm = { codec: 'low-rank', params: { bands: [1], scale: 0.25 }, chunks: [band] };
    for (const kernels of [wasm, scalar]) {
      const residual = await residualOf(lowRankCodec, term, { rows: 3, columns: 2, kernels });
      const [a, b] = [[-3, 3, -2].map((code) => 258 * code), [1, -4].map((code) => 3 * code)];
      expect([...residual]).toEqual(a.flatMap((x) => b.map((y) => 0.25 * x * y)));
    }
  });

  it('may mix widths within a band', async () => {
    const components = [2, 9, 16].map((bits, seed) => {
      const one = { ...factorsOf(6, 9, 1, seed), singularValues: Float64Array.of(1) };
      return encodeLowRank(one, 1, bits, wasm).chunks[0]!.bytes;
    });
    const chunks = [new Uint8Array(Buffer.concat(components))];
    const term = { codec: 'low-rank', params: { bands: [3], scale: 2 ** -20 }, chunks };
    const formula = lowRankResidual(term.params, () => chunks[0]!, 6, 9);
    for (const kernels of [wasm, scalar]) {
      expect([...(await residualOf(lowRankCodec, term, { rows: 6, columns: 9, kernels }))]).toEqual(formula);
    }
  });

  it('rounds the sum to float32 once, then the product once', async () => {
    // 16-bit codes: sums of two products just over 2^24, where float32 has gaps.
    const component = (gain: number, a: number, b: number) => {
      const bytes = Buffer.alloc(5 + 2 + 2);
      bytes[0] = 16;
      bytes.writeUInt16LE(gain, 1);
      bytes.writeUInt16LE(gain, 3);
      bytes.writeInt16LE(a, 5);
      bytes.writeInt16LE(b, 7);
      return bytes;
    };
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 900 }), int16, int16), { minLength: 1, maxLength: 4 }),
        fc.float({ noNaN: true, noDefaultInfinity: true }),
        async (items, scale) => {
          const chunk = new Uint8Array(Buffer.concat(items.map((item) => component(...item))));
          const term = { codec: 'low-rank', params: { bands: [items.length], scale }, chunks: [chunk] };
          const sum = items.reduce((total, [gain, a, b]) => total + BigInt(gain * a) * BigInt(gain * b), 0n);
          const expected = Math.fround(0 + Math.fround(scale * Math.fround(Number(sum))));
          for (const kernels of [wasm, scalar]) {
            const [found] = await residualOf(lowRankCodec, term, { rows: 1, columns: 1, kernels });
            expect(found).toBe(expected);
          }
        },
      ),
    );
  });

  it('at a cut, the bands before it are summed and the others left out', async () => {
    const [rows, columns] = [9, 6];
    const term = madeTerm(encodeLowRank(factorsOf(rows, columns, 4), 4, 6, wasm));
    expect(term.params.bands).toEqual([1, 1, 2]);
    for (const cut of [0, 1, 2, 3]) {
      const kept = { ...term.params, bands: [1, 1, 2].slice(0, cut) };
      const formula = lowRankResidual(kept, (i) => term.chunks[i], rows, columns);
      const found = await residualOf(lowRankCodec, term, { rows, columns, kernels: wasm, cut });
      expect([...found]).toEqual(formula);
    }
  });
});

const int16 = fc.integer({ min: -32768, max: 32767 });

describe('a hostile term', () => {
  const [rows, columns] = [7, 13];
  const good = madeTerm(encodeLowRank(factorsOf(rows, columns, 4), 4, 5, wasm));
  const attempt = (change: Partial<MadeTerm>) =>
    openTerm(lowRankCodec, { ...good, ...change }, { rows, columns, kernels: wasm });
  const params = (change: Record<string, unknown>) => ({ params: { ...good.params, ...change } });
  const firstChunk = (change: (bytes: Uint8Array) => Uint8Array) => ({
    chunks: [change(good.chunks[0]!.slice()), ...good.chunks.slice(1)],
  });
  const withByte = (offset: number, value: number) =>
    firstChunk((bytes) => {
      bytes[offset] = value;
      return bytes;
    });
  /** Ten components of the widest codes and gains. */
  const huge = (gain: number) => {
    const bytes = new Uint8Array(10 * componentByteLength(rows, columns, 16)).fill(0xff);
    for (let k = 0; k < 10; k++) {
      const offset = k * componentByteLength(rows, columns, 16);
      const component = bytes.subarray(offset, offset + componentByteLength(rows, columns, 16));
      for (let i = 5; i < component.length; i += 2) component[i + 1] = 0x7f; // every code 32,767
      component.set([16, gain & 255, gain >> 8, gain & 255, gain >> 8]);
    }
    return { chunks: [bytes], params: { ...good.params, bands: [10] } };
  };

  /** One component whose a is gain · 32,767 and whose b is 0. */
  const oneHuge = (gain: number) => {
    const bytes = new Uint8Array(componentByteLength(rows, columns, 16));
    bytes.set([16, gain & 255, gain >> 8, 1, 0, 0xff, 0x7f]);
    return { chunks: [bytes], params: { ...good.params, bands: [1] } };
  };

  const cases: readonly (readonly [string, Partial<MadeTerm>, RegExp])[] = [
    ['a chunk too few', { chunks: good.chunks.slice(1) }, /expected 3 chunks, found 2/],
    ['a chunk too many', { chunks: [...good.chunks, new Uint8Array(1)] }, /expected 3 chunks, found 4/],
    ['a band that is a byte short', firstChunk((bytes) => bytes.subarray(1)), /component 0/],
    [
      'a band with a byte too many',
      firstChunk((bytes) => Uint8Array.of(...bytes, 0)),
      /chunk 0 .* expected 19 bytes, found 20/,
    ],
    ['an empty band', firstChunk(() => new Uint8Array(0)), /band 0: 0 bytes cannot hold 1 components/],
    ['0 bits', withByte(0, 0), /component 0: expected 2 to 16 bits, found 0/],
    ['1 bit', withByte(0, 1), /component 0: expected 2 to 16 bits, found 1/],
    ['17 bits', withByte(0, 17), /component 0: expected 2 to 16 bits, found 17/],
    ['wider codes than it has bytes for', withByte(0, 6), /component 0: the band ends inside it/],
    [
      'a count that lies',
      params({ bands: [1, 1, 2 ** 30] }),
      /band 2: 38 bytes cannot hold 1073741824 components/,
    ],
    [
      'no band',
      { ...params({ bands: [] }), chunks: [] },
      /"bands": expected a list of positive integers, found \[\]/,
    ],
    ['a band of 0 components', params({ bands: [0, 1, 2] }), /"bands": expected a list of positive integers/],
    ['bands that are no list', params({ bands: 4 }), /"bands": .* found 4/],
    ['bands that are missing', { params: { scale: 1 } }, /"bands": .* found nothing/],
    ['a fractional band', params({ bands: [1, 1.5, 2] }), /"bands"/],
    [
      'a scale that float32 does not hold',
      params({ scale: 0.1 }),
      /"scale": expected a finite float32, found 0.1/,
    ],
    ['a scale over float32', params({ scale: 1e39 }), /"scale": expected a finite float32/],
    ['a scale that is text', params({ scale: '1' }), /"scale": expected a finite float32, found "1"/],
    [
      'an integer of 2^26 and more, though all sums are small',
      oneHuge(2049),
      /an integer factor of 2\^26 or more/,
    ],
    ['sums over 2^53', huge(2048), /sums up to .* are not exact; expected below 2\^53/],
    ['the largest gains', huge(65535), /not exact/],
  ];
  for (const [name, change, message] of cases) {
    it(`with ${name} is refused, naming archive, tensor and codec`, async () => {
      const error = await attempt(change).catch((e) => e);
      expect(error).toBeInstanceOf(CodecError);
      expect(error.codec).toBe('low-rank');
      expect(error.message).toMatch(/^a\.ere, tensor "w", codec "low-rank": /);
      expect(error.message).toMatch(message);
    });
  }

  it('just inside the bounds is exact', async () => {
    await expect(attempt(oneHuge(2047))).resolves.toBeDefined();
    // |a|, |b| = 32,767 · 2,047 < 2^26, and one product < 2^52.
    const bytes = new Uint8Array(componentByteLength(2, 2, 16)).fill(0xff);
    for (let i = 6; i < bytes.length; i += 2) bytes[i] = 0x7f;
    bytes.set([16, 0xff, 0x07, 0xff, 0x07]);
    const term = { codec: 'low-rank', params: { bands: [1], scale: 1 }, chunks: [bytes] };
    for (const kernels of [wasm, scalar]) {
      const residual = await residualOf(lowRankCodec, term, { rows: 2, columns: 2, kernels });
      expect([...residual]).toEqual(lowRankResidual(term.params, () => bytes, 2, 2));
    }
  });

  it('of random bytes throws only CodecError, or decodes as the formula says', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 60 }), { minLength: 1, maxLength: 3 }),
        fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 }),
        async (chunks, bands) => {
          const term = { codec: 'low-rank', params: { bands, scale: 2 ** -10 }, chunks };
          try {
            const found = await residualOf(lowRankCodec, term, { rows: 2, columns: 3, kernels: wasm });
            expect([...found]).toEqual(lowRankResidual(term.params, (i) => chunks[i]!, 2, 3));
          } catch (error) {
            expect(error).toBeInstanceOf(CodecError);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

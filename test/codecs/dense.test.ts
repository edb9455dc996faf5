/** Codec "dense": docs/spec/codecs.md §3. */
import { describe, expect, it } from 'vitest';
import { CodecError } from '../../formats/errors.js';
import type { EncodedTerm } from '../../src/codecs/codec.js';
import { denseByteLength, denseCodec, encodeDense } from '../../src/codecs/dense.js';
import { expectedRelativeError } from '../../src/codecs/scalar-quantizer.js';
import type { Kernels } from '../../src/kernels/kernels.js';
import { denseResidual, readCodes } from '../helpers/independent-decoder.js';
import { type MadeTerm, madeTerm, openTerm, residualOf } from '../helpers/terms.js';
import { normalFloats, scalar, wasm } from '../kernels/samples.js';

function encode(
  residual: Float32Array,
  rows: number,
  columns: number,
  bits: number,
  kernels: Kernels = wasm,
): Promise<EncodedTerm> {
  const read = async (start: number, count: number) =>
    residual.subarray(start * columns, (start + count) * columns);
  return encodeDense(read, rows, columns, bits, kernels);
}

/** Rows whose spread differs by a factor of 50, one of them zero. */
function unevenRows(rows: number, columns: number): Float32Array {
  const values = normalFloats(rows * columns, 7);
  return values.map((value, at) => {
    const row = Math.floor(at / columns);
    return row === 1 ? 0 : value * 50 ** -(row / rows);
  });
}

describe('encode and decode', () => {
  for (const bits of [2, 3, 4, 5, 6, 7, 8]) {
    it(`${bits} bits give the formula's values on both kernel paths, in any row blocks`, async () => {
      for (const [rows, columns] of [
        [1, 1],
        [3, 37],
        [17, 9],
      ] as const) {
        const residual = unevenRows(rows, columns);
        const term = madeTerm(await encode(residual, rows, columns, bits));
        expect(madeTerm(await encode(residual, rows, columns, bits, scalar))).toEqual(term);
        const formula = denseResidual(term.params, (i) => term.chunks[i]!, rows, columns);
        for (const kernels of [wasm, scalar]) {
          expect([...(await residualOf(denseCodec, term, { rows, columns, kernels }))]).toEqual(formula);
          expect([...(await residualOf(denseCodec, term, { rows, columns, kernels }, 2))]).toEqual(formula);
        }
      }
    });

    it(`${bits} bits lose what the plan expects of Gaussian rows, of any spread`, async () => {
      const [rows, columns] = [8, 4096];
      const residual = unevenRows(rows, columns);
      const term = madeTerm(await encode(residual, rows, columns, bits));
      const decoded = await residualOf(denseCodec, term, { rows, columns, kernels: wasm });
      for (let row = 0; row < rows; row++) {
        let [error, energy] = [0, 0];
        for (let at = row * columns; at < (row + 1) * columns; at++) {
          error += (decoded[at]! - residual[at]!) ** 2;
          energy += residual[at]! ** 2;
        }
        if (row !== 1) expect(error / energy).toBeLessThan(1.15 * expectedRelativeError(bits));
        else expect(error).toBe(0);
      }
    });
  }

  it('splits rows into blocks of 2^20 elements, and the size is known beforehand', async () => {
    const [rows, columns, bits] = [5, 2 ** 19, 2];
    const residual = new Float32Array(rows * columns).fill(-0.25); // code −2
    const term = await encode(residual, rows, columns, bits);
    expect(term.params.blockRows).toBe(2);
    const sizes = [2, 2, 1].map((count) => count * 2 + (count * columns * bits) / 8);
    expect(term.chunks.map(({ bytes }) => bytes.byteLength)).toEqual(sizes);
    expect(denseByteLength(rows, columns, bits)).toBe(sizes.reduce((a, b) => a + b));
    expect(denseByteLength(4, columns, bits)).toBe(2 * sizes[0]!);
    const setting = { rows, columns, kernels: wasm };
    const decoded = await residualOf(denseCodec, madeTerm(term), setting, 3);
    expect(Math.abs(decoded[0]! / -0.25 - 1)).toBeLessThan(0.05); // the grid of steps
    expect(decoded.every((value) => value === decoded[0])).toBe(true);
  });

  it('a residual of zeros has scale 0 and decodes to zeros', async () => {
    const term = await encode(new Float32Array(12), 3, 4, 4);
    expect(term.params.scale).toBe(0);
    expect(await residualOf(denseCodec, madeTerm(term), { rows: 3, columns: 4, kernels: wasm })).toEqual(
      new Float32Array(12),
    );
  });
});

describe('block layout', () => {
  it('is the gain of every row, then one code stream over all rows', async () => {
    const [rows, columns, bits] = [3, 5, 3];
    const residual = Float32Array.from({ length: 15 }, (_, at) => [4, -2, 1][Math.floor(at / 5)]!);
    const term = await encode(residual, rows, columns, bits);
    const { bytes } = term.chunks[0]!;
    expect(bytes.byteLength).toBe(3 * 2 + Math.ceil((15 * 3) / 8));
    const gains = [0, 1, 2].map((row) => Buffer.from(bytes).readUInt16LE(row * 2));
    expect(gains[0]).toBe(4096);
    const codes = readCodes(bytes, 6, 15, bits);
    for (let row = 0; row < 3; row++) {
      expect(new Set(codes.slice(row * 5, row * 5 + 5)).size).toBe(1);
      const value = (term.params.scale as number) * gains[row]! * codes[row * 5]!;
      expect(Math.abs(value / residual[row * 5]! - 1)).toBeLessThan(0.05); // the grid of steps
    }
    expect(bytes[bytes.length - 1]! >> 5).toBe(0); // 45 of 48 bits are codes
  });

  it('decodes a hand-made block', async () => {
    const block = Uint8Array.of(0x00, 0x01, 0xff, 0xff, 0b01_11_10_01, 0b1111_10_00); // codes 1 −2 −1 1 0 −2
    const term: MadeTerm = { codec: 'dense', params: { scale: 0.5, bits: 2, blockRows: 9 }, chunks: [block] };
    for (const kernels of [wasm, scalar]) {
      const residual = await residualOf(denseCodec, term, { rows: 2, columns: 3, kernels });
      expect([...residual]).toEqual([128, -256, -128, 0.5 * 65535, 0, -65535]);
    }
  });

  it('at a cut, rows of the blocks behind it stay as they are', async () => {
    const term = {
      codec: 'dense',
      params: { scale: 1, bits: 2, blockRows: 1 },
      chunks: [Uint8Array.of(1, 0, 1), Uint8Array.of(1, 0, 1)],
    };
    const setting = { rows: 2, columns: 1, kernels: wasm, cut: 1 };
    expect([...(await residualOf(denseCodec, term, setting))]).toEqual([1, 0]);
  });
});

describe('a hostile term', () => {
  const [rows, columns] = [4, 3];
  const block = new Uint8Array(2 * 2 + Math.ceil((2 * 3 * 4) / 8));
  const good: MadeTerm = {
    codec: 'dense',
    params: { scale: 1, bits: 4, blockRows: 2 },
    chunks: [block, block],
  };
  const params = (change: Record<string, unknown>) => ({ params: { ...good.params, ...change } });
  const cases: readonly (readonly [string, Partial<MadeTerm>, RegExp])[] = [
    ['a chunk too few', { chunks: [block] }, /expected 2 chunks, found 1/],
    ['no rows in a block', params({ blockRows: 0 }), /"blockRows": expected an integer in \[1, /],
    ['blocks without end', params({ blockRows: 2 ** 40 }), /"blockRows"/],
    ['1 bit', params({ bits: 1 }), /"bits": expected an integer in \[2, 16\], found 1/],
    ['17 bits', params({ bits: 17 }), /"bits": .* found 17/],
    ['fractional bits', params({ bits: 4.5 }), /"bits": .* found 4.5/],
    ['a scale that float32 does not hold', params({ scale: 0.3 }), /"scale": expected a finite float32/],
    ['no scale', params({ scale: null }), /"scale": .* found null/],
    [
      'wider codes than it has bytes for',
      params({ bits: 5 }),
      /chunk 0 of the term: expected 8 bytes, found 7/,
    ],
    [
      'a block with a byte too many',
      { chunks: [Uint8Array.of(...block, 0), block] },
      /expected 7 bytes, found 8/,
    ],
    [
      'a last block that is short',
      { chunks: [block, block.subarray(1)] },
      /chunk 1 .* expected 7 bytes, found 6/,
    ],
  ];
  for (const [name, change, message] of cases) {
    it(`with ${name} is refused, naming archive, tensor and codec`, async () => {
      const setting = { rows, columns, kernels: wasm };
      const error = await residualOf(denseCodec, { ...good, ...change }, setting).catch((e) => e);
      expect(error).toBeInstanceOf(CodecError);
      expect(error.codec).toBe('dense');
      expect(error.message).toMatch(/^a\.ere, tensor "w", codec "dense": /);
      expect(error.message).toMatch(message);
    });
  }

  it('that claims rows without bytes for them is refused before they are allocated', async () => {
    const before = process.memoryUsage().arrayBuffers;
    const term = { ...good, ...params({ blockRows: 2 ** 30, bits: 2 }), chunks: [block] };
    const decoder = await openTerm(denseCodec, term, { rows: 2 ** 28, columns: 4, kernels: wasm });
    if (decoder.kind !== 'additive') throw new TypeError('expected an additive term');
    await expect(decoder.prepare(0, 1)).rejects.toThrow('chunk 0 of the term');
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20);
  });
});

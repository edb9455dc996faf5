/** Rebuilding one tensor: the rules of docs/spec/codecs.md §1 over all mixes of terms, and the borders of row blocks. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CodecError } from '../../formats/errors.js';
import { nodeRuntime } from '../../src/io/node-runtime.js';
import type { KernelPath } from '../../src/kernels/kernels.js';
import { decodeTensor } from '../../src/residual/decode-tensor.js';
import { type CodedTensor, codedTensor } from '../helpers/arbitrary-terms.js';
import { digestOf } from '../helpers/archive-builder.js';
import { decodeTensorIndependently } from '../helpers/independent-decoder.js';
import { PATHS } from '../kernels/samples.js';

interface Decoded {
  readonly bytes: Buffer;
  readonly decoded: string;
  readonly base: string | undefined;
  /** Lengths of the pieces given out. */
  readonly pieces: readonly number[];
}

/** Bytes without a period, quickly. */
function manyBytes(byteLength: number): Uint8Array {
  const words = new Uint32Array(byteLength / 4);
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i, 0x9e3779b1);
  return new Uint8Array(words.buffer);
}

const RUNTIMES = { wasm: nodeRuntime('wasm'), scalar: nodeRuntime('scalar') };

async function decode({ tensor, chunks, base }: CodedTensor, path: KernelPath): Promise<Decoded> {
  const parts: Buffer[] = [];
  let end = 0;
  const digests = await decodeTensor({
    tensor,
    archive: 'a.ere',
    readChunk: async (chunk) => chunks[chunk],
    ...(base === undefined
      ? {}
      : { readBase: async (offset, length) => base.subarray(offset, offset + length) }),
    write: (offset, bytes) => {
      expect(offset).toBe(end);
      end += bytes.byteLength;
      parts.push(Buffer.from(bytes));
    },
    runtime: RUNTIMES[path],
  });
  return {
    bytes: Buffer.concat(parts),
    decoded: digests.decoded,
    base: digests.base,
    pieces: parts.map((part) => part.length),
  };
}

describe('any mix of terms', () => {
  for (const path of PATHS) {
    it(`decodes to the bytes of the independent decoder, ${path}`, async () => {
      await fc.assert(
        fc.asyncProperty(codedTensor, async (coded) => {
          let expected: Buffer;
          try {
            expected = decodeTensorIndependently(coded.tensor, coded.chunks, coded.base);
          } catch (error) {
            expect(String(error)).toMatch(/row \d is not coded|hidden rows/);
            await expect(decode(coded, path)).rejects.toThrow(CodecError);
            return;
          }
          const found = await decode(coded, path);
          expect(found.bytes.toString('hex')).toBe(expected.toString('hex'));
          expect(found.decoded).toBe(digestOf(expected));
          expect(found.base).toBe(coded.base && digestOf(coded.base));
        }),
        { numRuns: 400 },
      );
    });
  }
});

describe('row blocks', () => {
  /** A term of 16-bit words without prediction, stored in segments. */
  const stored = (bytes: Uint8Array, segment: number, rows?: readonly [number, number]) => {
    const count = Math.ceil(bytes.byteLength / segment);
    const chunks = Array.from({ length: count }, (_, i) => bytes.subarray(i * segment, (i + 1) * segment));
    const encodings = chunks.map(() => 'stored');
    return {
      chunks,
      term: { codec: 'bytes', rows, params: { predict: 'none', word: 1, segment, encodings } },
    };
  };

  /** A rank-1 term over a base of small floats, so that the expected values are a formula. */
  const rankOne = (rows: number, columns: number) => {
    const component = Buffer.alloc(5 + rows + columns);
    component.set([8, 1, 0, 1, 0]); // bits, gainA = 1, gainB = 1
    for (let i = 0; i < rows; i++) component[5 + i] = i % 128;
    for (let j = 0; j < columns; j++) component[5 + rows + j] = j % 100;
    const base = manyBytes(rows * columns).map((byte) => byte % 64); // F8_E5M2 below infinity
    const coded: CodedTensor = {
      tensor: {
        name: 'w',
        dtype: 'F32',
        shape: [rows, columns],
        columns,
        terms: [{ codec: 'low-rank', chunks: [0], params: { scale: 0.5, bands: [1] } }],
        base: { dtype: 'F8_E5M2', shape: [rows, columns] },
      },
      chunks: [component],
      base,
    };
    const values = new Float32Array(256);
    RUNTIMES.scalar.kernels.toFloat32(
      'F8_E5M2',
      Uint8Array.from({ length: 256 }, (_, i) => i),
      values,
    );
    const expected = new Float32Array(rows * columns);
    for (let i = 0, at = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++, at++)
        expected[at] = values[base[at]!]! + 0.5 * ((i % 128) * (j % 100));
    }
    return { coded, expected: Buffer.from(expected.buffer) };
  };

  it('cover every row of a tensor of two and a half blocks once, on both kernel paths', async () => {
    // 1,024 columns: blocks of 1,024 rows.
    const { coded, expected } = rankOne(2560, 1024);
    for (const path of PATHS) {
      const found = await decode(coded, path);
      expect(found.pieces.map((length) => length / 4096)).toEqual([1024, 1024, 512]);
      expect(found.bytes.equals(expected)).toBe(true);
      expect(found.base).toBe(digestOf(coded.base!));
    }
  });

  // In parts of 8, 4, 4, 3 and 1 rows, and a row alone that is longer than the kernels' block.
  it.each([5632, 11_008, 20_000, 40_000, 80_000, 140_000])('of rows of %i columns', async (columns) => {
    const { coded, expected } = rankOne(13, columns);
    for (const path of PATHS) expect((await decode(coded, path)).bytes.equals(expected)).toBe(true);
  });

  it('end where a term or the base ends, so that a row follows its own rule', async () => {
    // Rows 0 to 2 are the base's: NaN payload and −0 survive. Row 2 is computed, row 3 stored.
    const base = Uint8Array.of(0x01, 0x7c, 0x00, 0x80, 0x00, 0x3c);
    const added = stored(Uint8Array.of(1, 2), 2, [3, 4]);
    const residual = { codec: 'dense', rows: [2, 3] as const, params: { scale: 1, bits: 2, blockRows: 1 } };
    const tensor = {
      name: 'w',
      dtype: 'F16' as const,
      shape: [4, 1],
      columns: 1,
      terms: [
        { ...residual, chunks: [0] },
        { codec: 'bytes', rows: [3, 4] as const, params: added.term.params, chunks: [1] },
      ],
      base: { dtype: 'F16' as const, shape: [3, 1] },
    };
    const found = await decode({ tensor, chunks: [Uint8Array.of(1, 0, 1), ...added.chunks], base }, 'wasm');
    // 1.0 + 1 · 1 · 1 = 2.0
    expect([...found.bytes]).toEqual([0x01, 0x7c, 0x00, 0x80, 0x00, 0x40, 1, 2]);
  });

  it('do not hold a vector whole: it is given out in pieces', async () => {
    const bytes = manyBytes(9 << 20);
    const { term, chunks } = stored(bytes, 3 << 20);
    const shape = [bytes.byteLength];
    const terms = [{ codec: term.codec, params: term.params, chunks: chunks.map((_, i) => i) }];
    const tensor = { name: 'w', dtype: 'U8' as const, shape, columns: bytes.byteLength, terms };
    const found = await decode({ tensor, chunks, base: undefined }, 'wasm');
    expect(found.bytes.equals(bytes)).toBe(true);
    expect(Math.max(...found.pieces)).toBeLessThanOrEqual(4 << 20);
  });

  it('are not allocated for a size that only the index claims', async () => {
    const terms = [
      {
        codec: 'bytes',
        chunks: [0, 1],
        params: { predict: 'none', word: 1, segment: 2 ** 28, encodings: ['stored', 'stored'] },
      },
    ];
    const shape = [2 ** 29];
    const tensor = { name: 'w', dtype: 'U8' as const, shape, columns: 2 ** 29, terms };
    const before = process.memoryUsage().arrayBuffers;
    const decoding = decode(
      { tensor, chunks: [Uint8Array.of(1), Uint8Array.of(2)], base: undefined },
      'wasm',
    );
    await expect(decoding).rejects.toThrow('chunk 0 of the term: expected 268435456 bytes, found 1');
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 << 20);
  });

  it('read base rows that the tensor dropped, for the digest', async () => {
    const base = manyBytes(10 << 20);
    const tensor = {
      name: 'w',
      dtype: 'U8' as const,
      shape: [5, 1024],
      columns: 1024,
      terms: [],
      base: { dtype: 'U8' as const, shape: [10 << 10, 1024] },
    };
    const found = await decode({ tensor, chunks: [], base }, 'wasm');
    expect(found.bytes.equals(base.subarray(0, 5 * 1024))).toBe(true);
    expect(found.base).toBe(digestOf(base));
  });
});

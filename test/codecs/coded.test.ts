/** Codecs coded-low-rank and coded-dense: the spec's arithmetic over the matrix coder, and hostile terms. */
import { describe, expect, it } from 'vitest';
import { CodecError } from '../../formats/errors.js';
import { codedDenseCodec, codedDenseTerm } from '../../src/codecs/coded-dense.js';
import { type CodedBand, codedLowRankCodec, codedLowRankTerm } from '../../src/codecs/coded-low-rank.js';
import { loadKernels } from '../../src/kernels/load-kernels.js';
import { codedDenseResidual, codedLowRankResidual } from '../helpers/independent-decoder.js';
import { type MadeTerm, madeTerm, openTerm, residualOf } from '../helpers/terms.js';
import { normalFloats, PATHS } from '../kernels/samples.js';

const wasm = loadKernels('wasm');
const STATES = [1, 4, 8] as const;

/** Chunks of a matrix of normal values, some rows a chunk. */
function encodeChunks(
  columns: number,
  rowsOfChunks: readonly number[],
  states: 1 | 4 | 8,
  seed: number,
): Uint8Array[] {
  const encoder = wasm.createMatrixEncoder({ columns, states });
  const chunks = rowsOfChunks.map((rows, i) => {
    const values = Float32Array.from(normalFloats(rows * columns, seed + i), (value) => value * 3);
    encoder.encodeRows({ values, rows, lambda: 0.1, codes: new Int16Array(values.length) });
    return encoder.endChunk();
  });
  encoder.free();
  return chunks;
}

function lowRankTerm(rows: number, columns: number, sizes: readonly number[], states: 1 | 4 | 8): MadeTerm {
  const left = encodeChunks(rows, sizes, states, 1);
  const right = encodeChunks(columns, sizes, states, 100);
  const bands = sizes.map((size, i): CodedBand => {
    const gains = Uint16Array.from({ length: size }, (_, k) => 40 + 7 * k);
    return { gains, codesA: left[i]!, codesB: right[i]!, squaredErrorDrop: 1 };
  });
  return madeTerm(codedLowRankTerm(bands, Math.fround(1e-5), states));
}

function denseTerm(rows: number, columns: number, blockRows: number, states: 1 | 4 | 8): MadeTerm {
  const blocks = Array.from({ length: Math.ceil(rows / blockRows) }, (_, i) =>
    Math.min(blockRows, rows - i * blockRows),
  );
  const chunks = encodeChunks(columns, blocks, states, 7).map((bytes) => ({ bytes, squaredErrorDrop: 1 }));
  return madeTerm(codedDenseTerm(chunks, Math.fround(0.01), states, blockRows));
}

describe.each(PATHS)('on %s kernels', (path) => {
  const kernels = loadKernels(path);

  it.each(STATES)(
    'coded-low-rank with %i states is the formula of the spec, in any row blocks',
    async (states) => {
      const [rows, columns] = [37, 29];
      const term = lowRankTerm(rows, columns, [2, 3], states);
      const expected = codedLowRankResidual(term.params, (i) => term.chunks[i], rows, columns);
      for (const blockRows of [rows, 5]) {
        const residual = await residualOf(codedLowRankCodec, term, { rows, columns, kernels }, blockRows);
        expect([...residual]).toEqual(expected);
      }
    },
  );

  it.each(STATES)(
    'coded-dense with %i states is the formula of the spec, over block borders',
    async (states) => {
      const [rows, columns] = [23, 31];
      const term = denseTerm(rows, columns, 6, states);
      const expected = codedDenseResidual(term.params, (i) => term.chunks[i], rows, columns);
      for (const blockRows of [rows, 4]) {
        const residual = await residualOf(codedDenseCodec, term, { rows, columns, kernels }, blockRows);
        expect([...residual]).toEqual(expected);
      }
    },
  );
});

it('bands behind the cut are left out, rows behind it stay as they are', async () => {
  const low = lowRankTerm(20, 18, [1, 2], 8);
  const first = await residualOf(codedLowRankCodec, low, { rows: 20, columns: 18, kernels: wasm, cut: 1 });
  expect([...first]).toEqual(
    codedLowRankResidual(low.params, (i) => (i < 1 ? low.chunks[i] : undefined), 20, 18),
  );
  const dense = denseTerm(20, 18, 8, 1);
  const residual = await residualOf(codedDenseCodec, dense, { rows: 20, columns: 18, kernels: wasm, cut: 1 });
  expect(residual.subarray(8 * 18).every((value) => value === 0)).toBe(true);
  expect(residual.subarray(0, 8 * 18).some((value) => value !== 0)).toBe(true);
});

describe('a hostile term', () => {
  const setting = { rows: 20, columns: 18, kernels: wasm };
  const low = lowRankTerm(20, 18, [3], 1);
  const dense = denseTerm(20, 18, 8, 1);
  const cases: [string, MadeTerm][] = [
    ['states that no trellis has', { ...low, params: { ...low.params, states: 2 } }],
    ['a scale that is no float32', { ...low, params: { ...low.params, scale: 0.1 } }],
    ['more components than the smaller side', { ...low, params: { ...low.params, bands: [19] } }],
    ['billions of components', { ...low, params: { ...low.params, bands: [2 ** 31 - 1] } }],
    ['a chunk that ends inside its gains', { ...low, chunks: [low.chunks[0]!.subarray(0, 7)] }],
    ['a chunk that ends inside its first code stream', { ...low, chunks: [low.chunks[0]!.subarray(0, 30)] }],
    ['another number of chunks', { ...low, chunks: [...low.chunks, ...low.chunks] }],
    ['dense blocks of no rows', { ...dense, params: { ...dense.params, blockRows: 0 } }],
    ['dense blocks that do not cover the rows', { ...dense, params: { ...dense.params, blockRows: 4 } }],
  ];

  it.each(cases)('with %s is refused, naming archive, tensor and codec', async (_, term) => {
    const codec = term.codec === codedDenseCodec.id ? codedDenseCodec : codedLowRankCodec;
    const error = await openTerm(codec, term, setting).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(CodecError);
    expect((error as Error).message).toMatch(/^a\.ere, tensor "w", codec "coded-/);
  });
});

/** Codecs coded-low-rank, coded-dense, ans-dense and coded-subspace: the spec's arithmetic over the coders, and hostile terms. */
import { describe, expect, it } from 'vitest';
import { CodecError } from '../../formats/errors.js';
import { ansDenseCodec, ansDenseTerm } from '../../src/codecs/ans-dense.js';
import { codedDenseCodec, codedDenseTerm } from '../../src/codecs/coded-dense.js';
import { type CodedBand, codedLowRankCodec, codedLowRankTerm } from '../../src/codecs/coded-low-rank.js';
import { type BasisSide, codedSubspaceCodec, codedSubspaceTerm } from '../../src/codecs/coded-subspace.js';
import { CODECS } from '../../src/codecs/registry.js';
import { loadKernels } from '../../src/kernels/load-kernels.js';
import {
  ansDenseResidual,
  codedDenseResidual,
  codedLowRankResidual,
  codedSubspaceResidual,
} from '../helpers/independent-decoder.js';
import { type MadeTerm, madeTerm, openTerm, residualOf } from '../helpers/terms.js';
import { normalFloats, PATHS } from '../kernels/samples.js';

const wasm = loadKernels('wasm');
const STATES = [1, 4, 8] as const;

/** Chunks of a matrix of normal values, some rows a chunk; row k from column k on where it is a basis. */
function encodeChunks(
  columns: number,
  rowsOfChunks: readonly number[],
  states: 1 | 4 | 8,
  seed: number,
  isBasis = false,
): Uint8Array[] {
  const encoder = wasm.createMatrixEncoder({ columns, states });
  const chunks = rowsOfChunks.map((rows, i) => {
    const values = Float32Array.from(normalFloats(rows * columns, seed + i), (value) => value * 3);
    const first = rowsOfChunks.slice(0, i).reduce((sum, count) => sum + count, 0);
    const codes = new Int16Array(values.length);
    for (let row = 0; row < rows; row++) {
      const range = [row * columns, (row + 1) * columns] as const;
      const own = { values: values.subarray(...range), codes: codes.subarray(...range) };
      encoder.encodeRows({ ...own, rows: 1, lambda: 0.1, firstColumn: isBasis ? first + row : 0 });
    }
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

function subspaceTerm(
  rows: number,
  columns: number,
  sizes: readonly number[],
  states: 1 | 4 | 8,
  side: BasisSide,
): MadeTerm {
  const [dimension, length] = side === 'columns' ? [columns, rows] : [rows, columns];
  const basis = encodeChunks(dimension, sizes, states, 1, true);
  const coefficients = encodeChunks(length, sizes, states, 100);
  const bands = sizes.map((components, i) => ({
    components,
    basis: basis[i]!,
    coefficients: coefficients[i]!,
    squaredErrorDrop: 1,
  }));
  return madeTerm(codedSubspaceTerm(bands, Math.fround(1e-5), states, side));
}

function denseTerm(rows: number, columns: number, blockRows: number, states: 1 | 4 | 8): MadeTerm {
  const blocks = Array.from({ length: Math.ceil(rows / blockRows) }, (_, i) =>
    Math.min(blockRows, rows - i * blockRows),
  );
  const chunks = encodeChunks(columns, blocks, states, 7).map((bytes) => ({ bytes, squaredErrorDrop: 1 }));
  return madeTerm(codedDenseTerm(chunks, Math.fround(0.01), states, blockRows));
}

function ansTerm(rows: number, columns: number, blockRows: number): MadeTerm {
  const encoder = wasm.createAnsEncoder(columns);
  const chunks: { bytes: Uint8Array; squaredErrorDrop: number }[] = [];
  for (let row = 0; row < rows; row += blockRows) {
    const count = Math.min(blockRows, rows - row);
    const values = normalFloats(count * columns, 7 + row).map((value) => value * 3);
    encoder.encodeRows({ values, rows: count, lambda: 0.1, codes: new Int16Array(values.length) });
    chunks.push({ bytes: encoder.endChunk(), squaredErrorDrop: 1 });
  }
  encoder.free();
  return madeTerm(ansDenseTerm(chunks, Math.fround(0.01), blockRows));
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
    'coded-subspace with %i states is the formula of the spec, on either side, in any row blocks',
    async (states) => {
      for (const side of ['columns', 'rows'] as const) {
        const [rows, columns] = [37, 29];
        const term = subspaceTerm(rows, columns, [2, 5], states, side);
        const expected = codedSubspaceResidual(term.params, (i) => term.chunks[i], rows, columns);
        for (const blockRows of [rows, 5]) {
          const setting = { rows, columns, kernels };
          const residual = await residualOf(codedSubspaceCodec, term, setting, blockRows);
          expect([...residual]).toEqual(expected);
        }
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

it.each(PATHS)('ans-dense is the formula of the spec, over block borders, on %s kernels', async (path) => {
  const [rows, columns] = [23, 31];
  const term = ansTerm(rows, columns, 6);
  const expected = ansDenseResidual(term.params, (i) => term.chunks[i], rows, columns);
  for (const blockRows of [rows, 4]) {
    const setting = { rows, columns, kernels: loadKernels(path) };
    const residual = await residualOf(ansDenseCodec, term, setting, blockRows);
    expect([...residual]).toEqual(expected);
  }
});

it('bands behind the cut are left out, rows behind it stay as they are', async () => {
  const low = lowRankTerm(20, 18, [1, 2], 8);
  const first = await residualOf(codedLowRankCodec, low, { rows: 20, columns: 18, kernels: wasm, cut: 1 });
  expect([...first]).toEqual(
    codedLowRankResidual(low.params, (i) => (i < 1 ? low.chunks[i] : undefined), 20, 18),
  );
  const shared = subspaceTerm(20, 18, [1, 2], 8, 'columns');
  for (const cut of [2, 3]) {
    const setting = { rows: 20, columns: 18, kernels: wasm, cut };
    expect([...(await residualOf(codedSubspaceCodec, shared, setting))]).toEqual(
      codedSubspaceResidual(shared.params, (i) => (i < 2 ? shared.chunks[i] : undefined), 20, 18),
    );
  }
  for (const [codec, dense] of [
    [codedDenseCodec, denseTerm(20, 18, 8, 1)],
    [ansDenseCodec, ansTerm(20, 18, 8)],
  ] as const) {
    const residual = await residualOf(codec, dense, { rows: 20, columns: 18, kernels: wasm, cut: 1 });
    expect(residual.subarray(8 * 18).every((value) => value === 0)).toBe(true);
    expect(residual.subarray(0, 8 * 18).some((value) => value !== 0)).toBe(true);
  }
});

/** Rows of zeros, long enough to pass for a basis of three vectors. */
function basisOfZeros(): Uint8Array {
  const encoder = wasm.createMatrixEncoder({ columns: 18 });
  encoder.encodeRows({ values: new Float32Array(54), rows: 3, lambda: 0, codes: new Int16Array(54) });
  const bytes = encoder.endChunk();
  encoder.free();
  return bytes;
}

describe('a hostile term', () => {
  const setting = { rows: 20, columns: 18, kernels: wasm };
  const low = lowRankTerm(20, 18, [3], 1);
  const dense = denseTerm(20, 18, 8, 1);
  const ans = ansTerm(20, 18, 8);
  const shared = subspaceTerm(20, 18, [3], 1, 'columns');
  const cases: [string, MadeTerm][] = [
    ['states that no trellis has', { ...low, params: { ...low.params, states: 2 } }],
    ['a scale that is no float32', { ...low, params: { ...low.params, scale: 0.1 } }],
    ['more components than the smaller side', { ...low, params: { ...low.params, bands: [19] } }],
    ['billions of components', { ...low, params: { ...low.params, bands: [2 ** 31 - 1] } }],
    ['a chunk that ends inside its gains', { ...low, chunks: [low.chunks[0]!.subarray(0, 7)] }],
    ['a chunk that ends inside its first code stream', { ...low, chunks: [low.chunks[0]!.subarray(0, 30)] }],
    ['another number of chunks', { ...low, chunks: [...low.chunks, ...low.chunks] }],
    ['a basis of no side', { ...shared, params: { ...shared.params, basis: 'depth' } }],
    ['more basis vectors than they have entries', { ...shared, params: { ...shared.params, bands: [19] } }],
    ['a basis without coefficients', { ...shared, chunks: shared.chunks.slice(0, 1) }],
    ['a basis vector of zeros', { ...shared, chunks: [basisOfZeros(), shared.chunks[1]!] }],
    ['dense blocks of no rows', { ...dense, params: { ...dense.params, blockRows: 0 } }],
    ['dense blocks that do not cover the rows', { ...dense, params: { ...dense.params, blockRows: 4 } }],
    ['fast blocks of no rows', { ...ans, params: { ...ans.params, blockRows: 0 } }],
    ['fast blocks that do not cover the rows', { ...ans, params: { ...ans.params, blockRows: 4 } }],
    ['fast blocks of no scale', { ...ans, params: { blockRows: 8 } }],
  ];

  it.each(cases)('with %s is refused, naming archive, tensor and codec', async (_, term) => {
    const codec = CODECS.get(term.codec)!;
    const error = await openTerm(codec, term, setting).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(CodecError);
    expect((error as Error).message).toMatch(/^a\.ere, tensor "w", codec "(coded|ans)-/);
  });
});

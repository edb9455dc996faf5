/** Residuals over a shared basis: what the encoder says of itself against what its terms decode to. */
import { describe, expect, it } from 'vitest';
import { codedSubspaceCodec } from '../../src/codecs/coded-subspace.js';
import type { LowRankFactors } from '../../src/codecs/low-rank.js';
import { openGemmEngine } from '../../src/linalg/gemm-engine.js';
import { createMatrix, type Matrix } from '../../src/linalg/matrix.js';
import { streamMatrix } from '../../src/linalg/matrix-stream.js';
import { stackRows } from '../../src/linalg/stack-rows.js';
import { streamProducts } from '../../src/linalg/stream-products.js';
import { truncatedSvd } from '../../src/linalg/truncated-svd.js';
import { EFFORTS, LAMBDA } from '../../src/rate-distortion/efforts.js';
import { encodeFactors } from '../../src/rate-distortion/encode-factors.js';
import { encodeGroup } from '../../src/rate-distortion/encode-group.js';
import { type EncodedSubspacePart, encodeSubspace } from '../../src/rate-distortion/encode-subspace.js';
import { singleSource, stackedSource } from '../../src/rate-distortion/subspace-source.js';
import { weightColumns } from '../../src/rate-distortion/weight-columns.js';
import { madeTerm, residualOf } from '../helpers/terms.js';
import { normalFloats, wasm } from '../kernels/samples.js';
import { plainGemm } from '../linalg/plain-gemm.js';

const { engine } = await openGemmEngine({ fallback: plainGemm, preferred: 'wasm' });
const COLUMNS = 48;

function encoding(step: number) {
  return { step, lambda: LAMBDA, ...EFFORTS.default };
}

/** Residuals whose rows lie near one space: strong directions of their own strengths, and noise. */
function relatives(lengths: readonly number[], columns = COLUMNS): Matrix[] {
  const rank = 10;
  const directions = normalFloats(rank * columns, 99);
  return lengths.map((rows, t) => {
    const data = normalFloats(rows * columns, 7 + t, 0.3);
    const strengths = normalFloats(rows * rank, 31 + t);
    for (let i = 0; i < rows; i++) {
      for (let k = 0; k < rank; k++) {
        for (let j = 0; j < columns; j++) {
          data[i * columns + j]! += (2 / (1 + k)) * strengths[i * rank + k]! * directions[k * columns + j]!;
        }
      }
    }
    return createMatrix(rows, columns, data);
  });
}

function energyOf({ data, columns }: Matrix, weights?: Float32Array): number {
  return data.reduce((sum, value, i) => sum + (weights?.[i % columns] ?? 1) * value * value, 0);
}

const memberOf = (matrix: Matrix) => ({ stream: streamMatrix(matrix), energy: energyOf(matrix) });

async function stackedFactors(matrices: readonly Matrix[], maxRank = COLUMNS): Promise<LowRankFactors> {
  return truncatedSvd(stackRows(matrices.map((matrix) => streamMatrix(matrix))), { maxRank, engine });
}

/** ‖R − R̂‖² of the decoded term. */
async function decodedError(
  matrix: Matrix,
  part: Pick<EncodedSubspacePart, 'term'>,
  weights?: Float32Array,
): Promise<number> {
  const { rows, columns } = matrix;
  const decoded = await residualOf(codedSubspaceCodec, madeTerm(part.term), { rows, columns, kernels: wasm });
  const difference = createMatrix(
    rows,
    columns,
    decoded.map((value, i) => matrix.data[i]! - value),
  );
  return energyOf(difference, weights);
}

describe('encodeSubspace', () => {
  it('says the squared error that every member decodes with, and counts shared chunks once', async () => {
    const matrices = relatives([40, 64, 30]);
    const svd = await stackedFactors(matrices);
    for (const step of [4, 1, 0.2]) {
      const rank = step > 2 ? 8 : 24;
      const source = stackedSource(matrices.map(memberOf), svd, rank, engine);
      const found = (await encodeSubspace(source, encoding(step), wasm, engine))!;
      const parts = found.parts.map((part) => part!);
      for (const [t, part] of parts.entries()) {
        const said = found.squaredErrors[t]!;
        expect(await decodedError(matrices[t]!, part)).toBeCloseTo(said, -Math.log10(said * 2e-3));
        expect(part.term.chunks[0]!.bytes).toBe(parts[0]!.term.chunks[0]!.bytes);
      }
      const bytes = new Set(parts.flatMap(({ term }) => term.chunks.map((chunk) => chunk.bytes)));
      expect(found.byteLength).toBe([...bytes].reduce((sum, chunk) => sum + chunk.byteLength, 0));
      const total = found.squaredErrors.reduce((sum, error) => sum + error, 0);
      expect(found.cost).toBeCloseTo(total + LAMBDA * step ** 2 * 8 * found.byteLength, 6);
    }
  });

  it.each([
    ['taller', 60, 40],
    ['wider', 40, 60],
  ])(
    'one %s residual has its basis on the shorter side and decodes with the error it says',
    async (_, rows, columns) => {
      const [matrix] = relatives([rows], columns) as [Matrix];
      const svd = await truncatedSvd(streamMatrix(matrix), { maxRank: 20, engine });
      const source = singleSource(memberOf(matrix), svd, 20, engine);
      expect(source.dimension).toBe(40);
      const found = (await encodeSubspace(source, encoding(0.5), wasm, engine))!;
      const said = found.squaredErrors[0]!;
      expect(await decodedError(matrix, found.parts[0]!)).toBeCloseTo(said, -Math.log10(said * 2e-3));
    },
  );

  it('weighs the errors of columns, with a basis of the rows', async () => {
    const [matrix] = relatives([60]) as [Matrix];
    const weights = Float32Array.from({ length: COLUMNS }, (_, j) => (j < 8 ? 5 : 0.2));
    const weighted = weightColumns(streamMatrix(matrix), weights);
    const svd = await truncatedSvd(weighted, { maxRank: 20, engine });
    const member = { stream: streamMatrix(matrix), energy: energyOf(matrix, weights) };
    const source = singleSource(member, svd, 20, engine, weights);
    expect(source.side).toBe('rows');
    const found = (await encodeSubspace(source, encoding(1), wasm, engine))!;
    const said = found.squaredErrors[0]!;
    expect(await decodedError(matrix, found.parts[0]!, weights)).toBeCloseTo(said, -Math.log10(said * 2e-3));
    const plain = singleSource(
      memberOf(matrix),
      await truncatedSvd(streamMatrix(matrix), { maxRank: 20, engine }),
      20,
      engine,
    );
    const unweighted = (await encodeSubspace(plain, encoding(1), wasm, engine))!;
    expect(said).toBeLessThan(await decodedError(matrix, unweighted.parts[0]!, weights));
  });

  it('takes fewer bytes than two free factors at no more error, and than its members alone', async () => {
    const matrices = relatives([48, 48, 48]);
    const step = 0.7;
    const svd = await stackedFactors(matrices);
    const source = stackedSource(matrices.map(memberOf), svd, 16, engine);
    const shared = (await encodeSubspace(source, encoding(step), wasm, engine))!;
    let [free, alone] = [0, 0];
    for (const matrix of matrices) {
      const stream = streamMatrix(matrix);
      const own = await truncatedSvd(stream, { maxRank: 16, engine });
      const products = streamProducts(stream, { engine });
      const factors = (await encodeFactors({ svd: own, rank: 16, products }, encoding(step), wasm, engine))!;
      const drop = factors.term.chunks.reduce((sum, chunk) => sum + chunk.squaredErrorDrop, 0);
      free += energyOf(matrix) - drop + LAMBDA * step ** 2 * 8 * factors.byteLength;
      const single = singleSource(memberOf(matrix), own, 16, engine);
      alone += (await encodeSubspace(single, encoding(step), wasm, engine))!.cost;
    }
    expect(alone).toBeLessThan(free);
    expect(shared.cost).toBeLessThan(0.95 * alone);
  });

  it('leaves out the member that has nothing at this step, and everything at a step beyond all', async () => {
    const [strong, other] = relatives([40, 40]) as [Matrix, Matrix];
    const weak = createMatrix(
      40,
      COLUMNS,
      other.data.map((value) => value * 1e-4),
    );
    const svd = await stackedFactors([strong, weak]);
    const source = stackedSource([memberOf(strong), memberOf(weak)], svd, 10, engine);
    const found = (await encodeSubspace(source, encoding(1), wasm, engine))!;
    expect(found.parts[0]).toBeDefined();
    expect(found.parts[1]).toBeUndefined();
    expect(found.squaredErrors[1]).toBeCloseTo(energyOf(weak), 12);
    expect(await encodeSubspace(source, encoding(1e6), wasm, engine)).toBeUndefined();
  });

  it('spans whole spaces, and stops at the end of them', async () => {
    const [matrix] = relatives([30], 12) as [Matrix];
    const svd = await truncatedSvd(streamMatrix(matrix), { maxRank: 12, engine });
    const source = singleSource(memberOf(matrix), svd, 12, engine);
    const { squaredErrors } = (await encodeSubspace(source, encoding(0.02), wasm, engine))!;
    expect(squaredErrors[0]! / energyOf(matrix)).toBeLessThan(1e-4);
  });
});

describe('encodeGroup', () => {
  it('asks for as many components as lie above water', async () => {
    const matrices = relatives([60, 60]);
    const asked: number[] = [];
    const group = {
      members: matrices.map(memberOf),
      factors: (rank: number) => {
        asked.push(rank);
        return stackedFactors(matrices, rank);
      },
    };
    const found = await encodeGroup(group, encoding(0.1), wasm, engine);
    expect(asked).toEqual([32, 48]);
    expect(found.members.map(({ terms }) => terms.length)).toEqual([1, 1]);
    const share = found.cost / matrices.reduce((sum, matrix) => sum + energyOf(matrix), 0);
    expect(share).toBeLessThan(0.1);
    const coarse = await encodeGroup(group, encoding(1000), wasm, engine);
    expect(coarse).toMatchObject({ byteLength: 0, members: [{ terms: [] }, { terms: [] }] });
  });
});

import { expect, test } from 'vitest';
import type { BitsProfile } from '../../src/codecs/bits-profile.js';
import { bitsOf, describeBits } from '../../src/codecs/bits-profile.js';
import {
  componentByteLength,
  encodeLowRank,
  type LowRankFactors,
  lowRankCodec,
} from '../../src/codecs/low-rank.js';
import { residualOf } from '../helpers/open-term.js';
import { normalFloats, wasm } from '../kernels/samples.js';

const ROWS = 96;
const COLUMNS = 64;

/** Random unit vectors, nearly orthogonal. */
function factors(singularValues: readonly number[]): LowRankFactors {
  const rank = singularValues.length;
  return {
    rows: ROWS,
    columns: COLUMNS,
    singularValues: Float64Array.from(singularValues),
    u: normalFloats(rank * ROWS, 1, 1 / Math.sqrt(ROWS)),
    v: normalFloats(rank * COLUMNS, 2, 1 / Math.sqrt(COLUMNS)),
  };
}

/** u_kᵀ R̂ v_k of every component: near σ_k when it was kept well. */
async function projections(source: LowRankFactors, bits: BitsProfile): Promise<number[]> {
  const rank = source.singularValues.length;
  const term = encodeLowRank(source, rank, bits, wasm);
  const decoded = await residualOf(lowRankCodec, term, { rows: ROWS, columns: COLUMNS, kernels: wasm });
  return Array.from({ length: rank }, (_, k) => {
    let projection = 0;
    for (let i = 0; i < ROWS; i++) {
      for (let j = 0; j < COLUMNS; j++) {
        projection += source.u[k * ROWS + i]! * decoded[i * COLUMNS + j]! * source.v[k * COLUMNS + j]!;
      }
    }
    return projection;
  });
}

test('the last width of a profile goes on', () => {
  expect([0, 1, 2, 3, 9].map((k) => bitsOf([8, 8, 3, 2], k))).toEqual([8, 8, 3, 2, 2]);
  expect(bitsOf(5, 7)).toBe(5);
});

test('a profile is described by its different widths', () => {
  expect(describeBits([8, 8, 3, 3, 2])).toBe('8/3/2');
  expect(describeBits([4, 4])).toBe(4);
  expect(describeBits(6)).toBe(6);
});

test('every component is stored at the width of its place', () => {
  const bits = [8, 8, 3, 2];
  const term = encodeLowRank(factors([9, 8, 4, 2, 1]), 5, bits, wasm);
  const expected = [8, 8, 3, 2, 2].map((width) => componentByteLength(ROWS, COLUMNS, width));
  const total = term.chunks.reduce((sum, chunk) => sum + chunk.bytes.byteLength, 0);
  expect(total).toBe(expected.reduce((sum, byteLength) => sum + byteLength, 0));
  expect(term.chunks[0]!.bytes[0]).toBe(8);
});

test.each([
  ['narrow', [8, 3, 2], [10, 2, 1]],
  ['wide', [12, 8, 3], [10, 2, 1]],
])('%s profiles keep every component, the wide ones nearly whole', async (_, bits, singularValues) => {
  const source = factors(singularValues);
  const mixed = await projections(source, bits);
  const reference = await projections(source, 16);
  const kept = mixed.map((projection, k) => projection / reference[k]!);
  expect(kept[0]).toBeCloseTo(1, 2);
  for (const share of kept) {
    expect(share).toBeGreaterThan(0.6); // 2 bits keep two thirds of so short a vector
    expect(share).toBeLessThan(1.2);
  }
});

test('a uniform list gives the bytes of the one width', () => {
  const source = factors([5, 4, 3, 2]);
  expect(encodeLowRank(source, 4, [4, 4], wasm)).toEqual(encodeLowRank(source, 4, 4, wasm));
});

/** The order of chunks: needed ones, then by worth, then the exact ones on top. */
import { describe, expect, it } from 'vitest';
import { type OrderedTensor, placeTerms } from '../../src/residual/order-terms.js';
import { memoryChunk, type StoredTerm } from '../../src/residual/stored-chunks.js';

function term(codec: string, chunks: readonly (readonly [byteLength: number, drop: number])[]): StoredTerm {
  return {
    codec,
    params: {},
    chunks: chunks.map(([byteLength, squaredErrorDrop]) => ({
      chunk: memoryChunk(new Uint8Array(byteLength)),
      squaredErrorDrop,
    })),
  };
}

function tensor(terms: readonly StoredTerm[], refinement: readonly StoredTerm[] = []): OrderedTensor {
  return { terms, refinement, squaredError: 1, squaredResidual: 10 };
}

/** Lengths of the chunks in their order, and what was placed. */
function place(...tensors: OrderedTensor[]) {
  const lengths: number[] = [];
  const placed = placeTerms(tensors, ({ byteLength }) => lengths.push(byteLength) - 1);
  return { lengths, placed };
}

describe('placeTerms', () => {
  it('puts exact terms and what they stand on first, additive chunks by error per byte, and terms on top last', () => {
    const { lengths } = place(
      tensor(
        [
          term('low-rank', [
            [10, 6],
            [20, 3],
          ]),
        ],
        [term('bytes', [[1, 0]])],
      ),
      tensor([term('dense', [[30, 9]]), { ...term('bytes', [[2, 0]]), rows: [0, 4] }]),
      tensor([
        { ...term('dense', [[40, 12]]), rows: [0, 8] },
        { ...term('bytes', [[3, 0]]), rows: [8, 9] },
      ]),
    );
    // Slopes: 6/10, 12/40, 3/20.
    expect(lengths).toEqual([30, 2, 3, 10, 40, 20, 1]);
  });

  it('never puts a chunk before an earlier one of its term', () => {
    const { lengths, placed } = place(
      tensor([
        term('dense', [
          [10, 1],
          [11, 8],
        ]),
      ]),
      tensor([term('dense', [[12, 9]])]),
    );
    expect(lengths).toEqual([12, 10, 11]);
    expect(placed[0]![0]!.chunks).toEqual([1, 2]);
  });

  it('keeps the chunks of one refinement together, the most error per byte first', () => {
    const fixed = [term('low-rank', [[5, 9]])];
    const { lengths } = place(
      {
        ...tensor(fixed, [
          term('bytes', [
            [40, 0],
            [41, 0],
          ]),
        ]),
        squaredError: 1,
      },
      {
        ...tensor(fixed, [
          term('bytes', [
            [30, 0],
            [31, 0],
          ]),
        ]),
        squaredError: 8,
      },
    );
    expect(lengths.slice(-4)).toEqual([30, 31, 40, 41]);
  });

  it('scales the claimed drops to what was measured, to three digits', () => {
    const { placed } = place(
      tensor([
        term('low-rank', [
          [10, 12],
          [10, 3.33333],
        ]),
        term('bytes', [[1, 0]]),
      ]),
    );
    const [lowRank, bytes] = placed[0]!;
    expect(lowRank!.errorDrops).toEqual([7.04, 1.96]);
    expect(bytes).not.toHaveProperty('errorDrops');
  });

  it('puts exact terms that say what they are worth among additive ones, behind what they stand on', () => {
    const small = {
      ...term('interval-small', [
        [3, 0],
        [4, 0],
      ]),
      squaredErrorDrop: 2,
    };
    const { lengths, placed } = place(
      tensor([
        term('low-rank', [
          [10, 6],
          [60, 1],
        ]),
        small,
      ]),
      tensor([term('low-rank', [[20, 9]])]),
    );
    // Slopes: 6/10, 9/20, 1/60; 2/7 alone.
    expect(lengths).toEqual([10, 20, 60, 3, 4]);
    expect(placed[0]![1]).toMatchObject({ chunks: [3, 4], errorDrop: 2 });
    expect(placed[0]![1]).not.toHaveProperty('errorDrops');
  });

  it('stores equal terms of tied tensors once', () => {
    const tied = tensor([term('low-rank', [[10, 1]])], [term('bytes', [[3, 0]])]);
    const { lengths, placed } = place(tied, tied);
    expect(lengths).toEqual([10, 3]);
    expect(placed[0]).toEqual(placed[1]);
  });
});

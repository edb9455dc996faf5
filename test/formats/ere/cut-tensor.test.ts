/** What is left of a tensor when chunks are missing: the rules of docs/spec/archive.md §8. */
import { describe, expect, it } from 'vitest';
import type { ArchiveTensor, Digest } from '../../../formats/ere/archive-index.js';
import { cutTensor } from '../../../formats/ere/cut-tensor.js';
import { digestOf } from '../../helpers/archive-builder.js';

const digest = (text: string) => digestOf(text) as Digest;
const quality = { squaredError: 1, squaredResidual: 10 };

/** Two bands, a block of a remainder, and exact terms on top in chunk 3. */
const refined: ArchiveTensor = {
  name: 'w',
  dtype: 'F32',
  shape: [4, 3],
  file: 0,
  digest: digest('exact'),
  base: { digest: digest('base') },
  columns: 3,
  terms: [
    { codec: 'low-rank', chunks: [0, 1], errorDrops: [5, 2.5], params: { bands: [1, 2] } },
    { codec: 'dense', chunks: [2], errorDrops: [1.5], params: {} },
    { codec: 'bytes', chunks: [3], params: {} },
  ],
  lossy: { terms: 2, digest: digest('lossy'), quality },
};

/** Cuts behind so many chunks. */
const behind = (count: number) => (chunk: number) => chunk < count;

describe('a tensor with exact terms on top', () => {
  it('is whole when all chunks are there', () => {
    expect(cutTensor(refined, behind(4))).toEqual({
      tensor: refined,
      digest: refined.digest,
      quality: undefined,
    });
  });

  it('is its lossy level, digest and measured loss included, when only exact chunks are missing', () => {
    const cut = cutTensor(refined, behind(3));
    expect(cut).toMatchObject({ digest: digest('lossy'), quality });
    expect(cut.tensor).toMatchObject({ digest: digest('lossy'), quality, terms: refined.terms.slice(0, 2) });
    expect(cut.tensor).not.toHaveProperty('lossy');
  });

  it('keeps the first chunks of additive terms, counts the others, and estimates the loss', () => {
    const cut = cutTensor(refined, behind(1));
    expect(cut.digest).toBeUndefined();
    expect(cut.tensor?.terms).toEqual([
      { codec: 'low-rank', chunks: [0], missing: 1, errorDrops: [5], params: { bands: [1, 2] } },
    ]);
    expect(cut.quality).toEqual({ squaredError: 1 + 2.5 + 1.5, squaredResidual: 10, estimated: true });
  });

  it('without any chunk is the base, at the error of the base at most', () => {
    const cut = cutTensor(refined, behind(0));
    expect(cut.tensor?.terms).toEqual([]);
    expect(cut.quality).toEqual({ squaredError: 10, squaredResidual: 10, estimated: true });
  });

  it('applies a whole additive term behind one that is cut', () => {
    const cut = cutTensor(refined, (chunk) => chunk !== 1);
    expect(cut.tensor?.terms.map(({ codec }) => codec)).toEqual(['low-rank', 'dense']);
    expect(cut.quality).toMatchObject({ squaredError: 1 + 2.5 });
  });

  it('uses nothing behind the first gap of a term', () => {
    const cut = cutTensor(refined, (chunk) => chunk !== 0);
    expect(cut.tensor?.terms).toEqual([refined.terms[1]]);
    expect(cut.quality).toMatchObject({ squaredError: 1 + 5 + 2.5 });
  });

  it('cut again adds to what is missing', () => {
    const once = cutTensor(refined, behind(2)).tensor!;
    const twice = cutTensor({ ...once, digest: digest('cut') }, behind(1));
    expect(twice.tensor?.terms).toMatchObject([{ chunks: [0], missing: 1 }]);
  });
});

describe('exact terms', () => {
  const { lossy: _, ...plain } = refined;
  const grown: ArchiveTensor = {
    ...plain,
    shape: [5, 3],
    base: { shape: [4, 3], digest: digest('base') },
    terms: [
      { codec: 'low-rank', rows: [0, 4], chunks: [0, 1], errorDrops: [5, 2.5], params: {} },
      { codec: 'bytes', rows: [4, 5], chunks: [2], params: {} },
    ],
    quality,
  };

  it('of other rows than a term that is cut stay', () => {
    const cut = cutTensor(grown, (chunk) => chunk !== 1);
    expect(cut.tensor?.terms.map(({ codec }) => codec)).toEqual(['low-rank', 'bytes']);
    expect(cut.quality).toMatchObject({ squaredError: 3.5, estimated: true });
  });

  it('of rows that the base lacks are needed', () => {
    expect(cutTensor(grown, behind(2)).tensor).toBeUndefined();
  });

  it('of a tensor without a base are needed', () => {
    const { base: _base, quality: _quality, ...added } = plain;
    const terms = [{ codec: 'bytes', chunks: [0, 1], params: {} }];
    expect(cutTensor({ ...added, terms }, behind(1)).tensor).toBeUndefined();
  });

  it('that are missing leave the base, at a loss that nobody knows', () => {
    const terms = [{ codec: 'bytes', chunks: [0], params: {} }];
    const { quality: _quality, ...exact } = { ...plain, terms };
    expect(cutTensor(exact, behind(0))).toMatchObject({ tensor: { terms: [] }, quality: 'unknown' });
  });

  it('that say what they are worth are left out with what they stand on, at an estimated loss', () => {
    const terms = [
      { codec: 'low-rank', chunks: [0, 1], errorDrops: [5, 2.5], params: {} },
      { codec: 'interval-small', chunks: [2], errorDrop: 0.5, params: {} },
    ];
    const tensor = { ...plain, terms, quality };
    expect(cutTensor(tensor, behind(3)).quality).toEqual(quality);
    const withoutSmall = cutTensor(tensor, behind(2));
    expect(withoutSmall.tensor?.terms).toEqual(terms.slice(0, 1));
    expect(withoutSmall.quality).toEqual({ squaredError: 1.5, squaredResidual: 10, estimated: true });
    const onCut = cutTensor(tensor, (chunk) => chunk !== 1);
    expect(onCut.tensor?.terms).toMatchObject([{ codec: 'low-rank', missing: 1 }]);
    expect(onCut.quality).toMatchObject({ squaredError: 4 });
  });

  it('that are missing cannot leave a base of another dtype that is no float', () => {
    const terms = [{ codec: 'bytes', chunks: [0], params: {} }];
    const exact = {
      ...plain,
      terms,
      dtype: 'I32' as const,
      base: { dtype: 'I64' as const, digest: digest('b') },
    };
    expect(cutTensor(exact, behind(0)).tensor).toBeUndefined();
  });
});

it('a term without stated drops is used as a whole or not at all', () => {
  const terms = [{ codec: 'low-rank', chunks: [0, 1], params: {} }];
  const { lossy: _, ...plain } = refined;
  const cut = cutTensor({ ...plain, terms, quality }, behind(1));
  expect(cut).toMatchObject({ tensor: { terms: [] }, quality: 'unknown' });
});

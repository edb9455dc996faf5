/** The benchmark's own parts: pairs with the structure they claim, curves, plot and tables. Not its timings. */
import fc from 'fast-check';
import { Matrix as DenseMatrix, SingularValueDecomposition } from 'ml-matrix';
import { describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../src/io/open-checkpoint.js';
import { GAUSSIAN_DEVIATION, gaussianPair } from '../helpers/pairs/gaussian.js';
import { HEAVY_TAILED, heavyTailedPair } from '../helpers/pairs/heavy-tailed.js';
import { LOW_RANK_NOISE, lowRankNoisePair } from '../helpers/pairs/low-rank-noise.js';
import { MERGED_LORA, mergedLoraPair } from '../helpers/pairs/merged-lora.js';
import {
  fromBf16,
  type GeneratedPair,
  type PairMatrix,
  residualOf,
  writePair,
} from '../helpers/pairs/pair.js';
import { CHANGED_SHARE, masterStepPair, sparseStepPair } from '../helpers/pairs/sparse-step.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { bitsAt, equalErrorRatios, frontOf } from './compression/curve.js';
import { MARKS, markdownTable, paragraph, replaceBetweenMarks } from './compression/markdown.js';
import { METHODS } from './compression/methods.js';
import { placeLabels, renderPlot } from './compression/plot.js';
import { requirement } from './compression/requirements.js';
import { idealScalarBits } from './compression/scalar-quantizer-bound.js';
import { compareUlps } from './compression/ulps.js';
import { undoXorPlanes, xorPlanes } from './compression/xor-planes.js';

const SMALL = { rows: 160, columns: 128, count: 1 };

function deviation(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! ** 2;
  return Math.sqrt(sum / values.length);
}

function singularValues(matrix: PairMatrix): number[] {
  const dense = DenseMatrix.from1DArray(matrix.rows, matrix.columns, [...residualOf(matrix)]);
  return new SingularValueDecomposition(dense, { computeLeftSingularVectors: false }).diagonal;
}

/** (√m + √n) · deviation: where the singular values of white noise end. */
const noiseEdge = (entry: number): number => entry * (Math.sqrt(SMALL.rows) + Math.sqrt(SMALL.columns));

function changedShare({ matrices }: GeneratedPair): number {
  return 1 - compareUlps(matrices.map((matrix) => ({ ...matrix, decoded: matrix.base }))).equalShare;
}

describe('generated pairs', () => {
  const generators = {
    gaussianPair,
    lowRankNoisePair,
    heavyTailedPair,
    sparseStepPair,
    masterStepPair,
    mergedLoraPair,
  };

  test.each(Object.entries(generators))(
    '%s: same seed, same bytes; base weights as stated',
    (_, generate) => {
      const first = generate(SMALL, 5);
      expect(generate(SMALL, 5)).toEqual(first);
      expect(generate(SMALL, 6).matrices[0]!.fineTuned).not.toEqual(first.matrices[0]!.fineTuned);
      expect(deviation(fromBf16(first.matrices[0]!.base))).toBeCloseTo(0.02, 3);
    },
  );

  test('matrices of a pair differ from one another', () => {
    const [first, second] = lowRankNoisePair({ ...SMALL, count: 2 }).matrices;
    expect(second!.name).not.toBe(first!.name);
    expect(Buffer.compare(second!.base, first!.base)).not.toBe(0);
    const other = residualOf(second!);
    expect(deviation(residualOf(first!).map((x, i) => x - other[i]!))).toBeGreaterThan(4e-4);
  });

  test('low-rank + noise: 8 singular values over the edge of the noise, the rest under it', () => {
    const [matrix] = lowRankNoisePair(SMALL).matrices;
    const { rank, lowRankDeviation, noiseDeviation } = LOW_RANK_NOISE;
    const values = singularValues(matrix!);
    const typical = (lowRankDeviation / Math.sqrt(rank)) * Math.sqrt(SMALL.rows * SMALL.columns);
    expect(values[0]).toBeLessThan(2.5 * typical);
    expect(values[rank - 1]).toBeGreaterThan(1.1 * noiseEdge(noiseDeviation));
    expect(values[rank]).toBeLessThan(1.05 * noiseEdge(noiseDeviation));
    expect(deviation(residualOf(matrix!))).toBeCloseTo(Math.hypot(lowRankDeviation, noiseDeviation), 4);
  });

  test('heavy-tailed: a hundredth of the weights has over a fifth of the energy, rows differ', () => {
    const [matrix] = heavyTailedPair({ rows: 256, columns: 256, count: 1 }).matrices;
    const squares = residualOf(matrix!)
      .map((x) => x * x)
      .sort((x, y) => y - x);
    const total = squares.reduce((sum, x) => sum + x, 0);
    const top = squares.subarray(0, squares.length / 100).reduce((sum, x) => sum + x, 0);
    expect(top / total).toBeGreaterThan(0.2); // 8 % for a Gaussian
    const magnitudes = residualOf(matrix!).map(Math.abs);
    const rows = Array.from({ length: 256 }, (_, i) =>
      Math.log(magnitudes.slice(256 * i, 256 * (i + 1)).sort()[128]!),
    );
    const mean = rows.reduce((sum, x) => sum + x, 0) / 256;
    expect(deviation(rows.map((x) => x - mean))).toBeCloseTo(HEAVY_TAILED.logScaleDeviation, 1);
  });

  test('sparse step: 1 % of the weights, each by one unit in the last place', () => {
    const pair = sparseStepPair({ rows: 512, columns: 256, count: 1 });
    expect(changedShare(pair)).toBeCloseTo(CHANGED_SHARE, 2.5);
    expect(compareUlps(pair.matrices.map((matrix) => ({ ...matrix, decoded: matrix.base })))).toMatchObject({
      neighbourShare: 1,
      largestError: 1,
    });
    const residual = residualOf(pair.matrices[0]!);
    const up = residual.filter((x) => x > 0).length;
    const down = residual.filter((x) => x < 0).length;
    expect(Math.abs(up - down)).toBeLessThan(4 * Math.sqrt(up + down));
  });

  test('Gaussian: the stated spread, and no singular value over the edge of noise', () => {
    const [matrix] = gaussianPair(SMALL).matrices;
    expect(deviation(residualOf(matrix!))).toBeCloseTo(GAUSSIAN_DEVIATION, 4);
    expect(singularValues(matrix!)[0]).toBeLessThan(1.05 * noiseEdge(GAUSSIAN_DEVIATION));
  });

  test('step of master weights: about 1 % of the weights, mostly small ones', () => {
    const pair = masterStepPair({ rows: 512, columns: 256, count: 1 });
    expect(changedShare(pair)).toBeGreaterThan(0.005);
    expect(changedShare(pair)).toBeLessThan(0.02);
    const [matrix] = pair.matrices as [PairMatrix];
    const [base, residual] = [fromBf16(matrix.base), residualOf(matrix)];
    const changed = base.filter((_, i) => residual[i] !== 0);
    expect(deviation(changed)).toBeLessThan(0.6 * deviation(base));
  });

  test('merged LoRA: 16 singular values, and behind them what rounding adds', () => {
    const [matrix] = mergedLoraPair(SMALL).matrices;
    const { rank, updateDeviation } = MERGED_LORA;
    expect(deviation(residualOf(matrix!))).toBeCloseTo(updateDeviation, 4);
    const values = singularValues(matrix!);
    // Rounding to 8 significant bits: under 2^-8 / √3 of the weight, 0.02 on average.
    const rounding = noiseEdge((0.02 * 2 ** -8) / Math.sqrt(3));
    expect(values[rank]).toBeLessThan(rounding);
    expect(values[rank - 1]).toBeGreaterThan(3 * rounding);
  });

  test('a pair is written as two model folders with the same tensors', async () => {
    await withTempFolder(async (folder) => {
      const pair = sparseStepPair({ ...SMALL, count: 2 });
      const paths = await writePair(pair, folder);
      for (const [path, part] of [
        [paths.base, 'base'],
        [paths.fineTuned, 'fineTuned'],
      ] as const) {
        const checkpoint = await openCheckpoint(path);
        for (const matrix of pair.matrices) {
          expect(await checkpoint.read(matrix.name)).toEqual(matrix[part]);
          expect(checkpoint.tensors.get(matrix.name)).toMatchObject({ dtype: 'BF16', shape: [160, 128] });
        }
        await checkpoint.close();
      }
    });
  });
});

describe('curves', () => {
  const point = (bitsPerWeight: number, squaredError: number) => ({ bitsPerWeight, squaredError });

  test('the front keeps what nothing beats in both respects', () => {
    const points = [point(2, 0.1), point(1, 0.3), point(1.5, 0.4), point(1, 0.5), point(3, 0.1)];
    expect(frontOf(points)).toEqual([point(1, 0.3), point(2, 0.1)]);
  });

  test('bits are linear in the logarithm of the error, and unknown outside of the points', () => {
    const points = [point(2, 0.01), point(1, 0.1)];
    expect(bitsAt(points, 0.1)).toBe(1);
    expect(bitsAt(points, Math.sqrt(0.001))).toBeCloseTo(1.5, 12);
    expect(bitsAt(points, 0.01)).toBe(2);
    expect(bitsAt(points, 0.11)).toBeUndefined();
    expect(bitsAt(points, 0.009)).toBeUndefined();
    expect(bitsAt([], 0.1)).toBeUndefined();
  });

  test('on a Gaussian curve interpolation is exact', () => {
    const gaussian = (bits: number) => point(bits, 2 ** (-2 * bits));
    const points = [0.25, 0.7, 1.9].map(gaussian);
    fc.assert(
      fc.property(fc.double({ min: 0.25, max: 1.9, noNaN: true }), (bits) => {
        expect(bitsAt(points, gaussian(bits).squaredError)).toBeCloseTo(bits, 9);
      }),
    );
  });

  test('equal-error ratios are told where the reference was measured and the curve reaches', () => {
    const reference = [point(1, 0.2), point(2, 0.05), point(4, 0.001)];
    const ratios = equalErrorRatios([point(0.5, 0.2), point(1.5, 0.02)], reference);
    expect(ratios.map(({ referenceBits }) => referenceBits)).toEqual([1, 2]);
    expect(ratios[0]).toMatchObject({ squaredError: 0.2, bits: 0.5, ratio: 0.5, isBound: false });
    const bound = equalErrorRatios([point(0.5, 0.2), point(1.5, 0.02)], [point(4, 0.9)]);
    expect(bound).toEqual([{ squaredError: 0.9, referenceBits: 4, bits: 0.5, ratio: 0.125, isBound: true }]);
  });
});

test('the ideal scalar quantiser is as far from the Gaussian bound as theory says', () => {
  // ½·log2(πe/6) at high rate; at lower ones known from tables: 0.24 at 1 bit, 0.15 at half a bit.
  const gapAt = (squaredError: number) => idealScalarBits(squaredError) + 0.5 * Math.log2(squaredError);
  expect(gapAt(0.02)).toBeCloseTo(0.5 * Math.log2((Math.PI * Math.E) / 6), 2);
  expect(idealScalarBits(0.347)).toBeCloseTo(1, 1);
  expect(gapAt(0.347)).toBeCloseTo(0.24, 2);
  expect(gapAt(0.616)).toBeCloseTo(0.153, 2);
  expect(() => idealScalarBits(0)).toThrow(RangeError);
});

test('a requirement is judged by the value, not by what is printed of it', () => {
  const format = (value: number) => value.toFixed(1);
  const bound = { what: 'size', limit: 0.5, kind: 'at most', format } as const;
  expect(requirement({ ...bound, value: 0.5 })).toMatchObject({ target: 'at most 0.5', verdict: 'met' });
  expect(requirement({ ...bound, value: 0.501 })).toMatchObject({
    measured: '0.5',
    verdict: 'missed by 0.2 %',
  });
  expect(requirement({ ...bound, kind: 'at least', value: 0.4, detail: 'x' })).toMatchObject({
    measured: '0.4 (x)',
    verdict: 'missed by 20.0 %',
  });
  expect(requirement({ ...bound, value: undefined }).verdict).toBe('not measured');
});

test('methods of a pair have names of their own, and each pair has a quick one', () => {
  for (const methods of Object.values(METHODS)) {
    expect(new Set(methods.map(({ name }) => name)).size).toBe(methods.length);
    expect(methods.some(({ quick }) => quick)).toBe(true);
  }
});

describe('ulps', () => {
  const codes = (...values: number[]) => new Uint8Array(Uint16Array.from(values).buffer);
  const compare = (base: number, fineTuned: number, decoded: number) =>
    compareUlps([{ base: codes(base), fineTuned: codes(fineTuned), decoded: codes(decoded) }]);

  test('neighbours are one apart, also over a power of two, and zeros are one value', () => {
    expect(compare(0x3f80, 0x3f80, 0x3f81)).toEqual({ equalShare: 0, neighbourShare: 1, largestError: 1 });
    expect(compare(0x3f80, 0x3f80, 0x3f7f)).toEqual({ equalShare: 0, neighbourShare: 1, largestError: 0.5 });
    expect(compare(0x3f80, 0x3f80, 0x3f82)).toEqual({ equalShare: 0, neighbourShare: 0, largestError: 2 });
    expect(compare(0x8000, 0x8000, 0x0000)).toEqual({ equalShare: 0, neighbourShare: 1, largestError: 0 });
    expect(compare(0x8001, 0x8001, 0x0001)).toEqual({ equalShare: 0, neighbourShare: 0, largestError: 2 });
  });

  test('errors are in units of the larger of base and fine-tuned weight', () => {
    // 2^-20 decoded as 0, after a base of 1 or of 2^-20 itself.
    expect(compare(0x3f80, 0x3580, 0).largestError).toBe(2 ** -20 / 2 ** -7);
    expect(compare(0x3580, 0x3580, 0).largestError).toBe(2 ** 7);
  });

  test('NaN with the same bits is equal', () => {
    expect(compare(0, 0x7fc0, 0x7fc0)).toEqual({ equalShare: 1, neighbourShare: 1, largestError: 0 });
  });
});

test('XOR planes undo themselves, and equal bytes become nought', () => {
  fc.assert(
    fc.property(fc.constantFrom(1, 2, 4), fc.array(fc.tuple(fc.nat(255), fc.nat(255))), (size, bytes) => {
      const length = bytes.length - (bytes.length % size);
      const base = Uint8Array.from(bytes.slice(0, length), ([x]) => x);
      const fineTuned = Uint8Array.from(bytes.slice(0, length), ([, y]) => y);
      expect(undoXorPlanes(base, xorPlanes(base, fineTuned, size), size)).toEqual(fineTuned);
      expect(xorPlanes(base, base, size)).toEqual(new Uint8Array(length));
    }),
  );
  expect(xorPlanes(Uint8Array.of(0, 0, 0, 0), Uint8Array.of(1, 2, 3, 4), 2)).toEqual(
    Uint8Array.of(1, 3, 2, 4),
  );
});

describe('the plot', () => {
  const points = [
    { bitsPerWeight: 0.3, squaredError: 0.5 },
    { bitsPerWeight: 1, squaredError: 0.1 },
    { bitsPerWeight: 3, squaredError: 0.01 },
  ];

  test('draws every line with its name, and more decibels higher up', () => {
    const svg = renderPlot('a < b', [
      { title: 'one', series: [{ label: 'R & D', color: '#123456', points }] },
      { title: 'two', series: [{ label: 'bound', color: '#654321', points, isBound: true }] },
    ]);
    expect(svg).toMatch(/^<svg [^>]+viewBox="0 0 \d+ \d+"/);
    expect(svg).toContain('<title>a &lt; b</title>');
    expect(svg).toContain('>R &amp; D</text>');
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    const places = [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [
      Number(x),
      Number(y),
    ]);
    expect(places).toHaveLength(3);
    for (let i = 1; i < places.length; i++) {
      expect(places[i]![0]).toBeGreaterThan(places[i - 1]![0]!);
      expect(places[i]![1]).toBeLessThan(places[i - 1]![1]!);
    }
  });

  test('leaves out what is exact, and lines without points', () => {
    const exact = [{ bitsPerWeight: 8, squaredError: 0 }];
    const svg = renderPlot('t', [
      {
        title: 'p',
        series: [
          { label: 'lossy', color: '#000000', points },
          { label: 'lossless', color: '#000000', points: exact },
        ],
      },
    ]);
    expect(svg).not.toContain('lossless');
    expect(svg.match(/<circle/g)).toHaveLength(3);
  });

  test('labels side by side do not overlap', () => {
    const label = (text: string, x: number, y: number) => ({
      text,
      x,
      y,
      color: '#000000',
      isStrong: false,
      endsAtX: false,
    });
    const placed = placeLabels([
      label('b', 10, 20),
      label('a', 10, 18),
      label('far', 300, 18),
      label('c', 12, 30),
    ]);
    const near = placed.filter(({ text }) => text !== 'far').map(({ y }) => y);
    expect(near).toEqual([18, 33, 48]);
    expect(placed.find(({ text }) => text === 'far')!.y).toBe(18);
  });
});

describe('Markdown', () => {
  test('cells line up, and a bar in a cell is escaped', () => {
    const table = markdownTable([{ title: 'name' }, { title: 'n', align: 'right' }], [['a|b', '12']]);
    expect(table).toBe('| name |   n |\n| ---- | --: |\n| a\\|b |  12 |\n');
    expect(() => markdownTable([{ title: 'one' }], [['a', 'b']])).toThrow(RangeError);
  });

  test('prose is broken between words, at 120 characters', () => {
    const prose = 'a word '.repeat(60).trim();
    const lines = paragraph(prose).trimEnd().split('\n');
    expect(lines.slice(0, -1).every((line) => line.length <= 120 && line.length > 114)).toBe(true);
    expect(lines.at(-1)!.length).toBeLessThanOrEqual(120);
    expect(lines.join(' ')).toBe(prose);
  });

  test('only what is between the marks is replaced', () => {
    const document = `before\n${MARKS[0]}\nold\n${MARKS[1]}\nafter\n`;
    const replaced = replaceBetweenMarks(document, '\nnew\n');
    expect(replaced).toBe(`before\n${MARKS[0]}\n\nnew\n\n${MARKS[1]}\nafter\n`);
    expect(replaceBetweenMarks(replaced, 'new')).toBe(replaced);
    expect(() => replaceBetweenMarks('nothing', 'new')).toThrow(/marks/);
  });
});

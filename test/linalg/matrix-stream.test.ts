import { describe, expect, test } from 'vitest';
import { createMatrix, squaredNorm, transpose } from '../../src/linalg/matrix.js';
import {
  cacheStream,
  collectStream,
  type MatrixStream,
  streamMatrix,
} from '../../src/linalg/matrix-stream.js';
import { sketchMatrix, xoshiro128 } from '../../src/linalg/sketch.js';

const whole = sketchMatrix(10, 3, 1);

/** Produces blocks in one buffer that is used again, as a residual reader does, and counts its passes. */
function reusingStream(): MatrixStream & { passes: number } {
  const buffer = createMatrix(4, 3);
  const stream = {
    rows: 10,
    columns: 3,
    rowBlock: 4,
    passes: 0,
    async *blocks() {
      stream.passes++;
      for (let start = 0; start < 10; start += 4) {
        const rows = Math.min(4, 10 - start);
        buffer.data.set(whole.data.subarray(start * 3, (start + rows) * 3));
        yield { start, matrix: createMatrix(rows, 3, buffer.data.subarray(0, rows * 3)) };
      }
    },
  };
  return stream;
}

async function collect(stream: MatrixStream): Promise<[starts: number[], values: number[]]> {
  const starts: number[] = [];
  const values: number[] = [];
  for await (const { start, matrix } of stream.blocks()) {
    starts.push(start);
    values.push(...matrix.data);
  }
  return [starts, values];
}

describe('matrix streams', () => {
  test('a matrix in memory is read in blocks of rows, the last one shorter', async () => {
    expect(await collect(streamMatrix(whole, { rowBlock: 4 }))).toEqual([[0, 4, 8], [...whole.data]]);
    expect((await collect(streamMatrix(whole)))[0]).toEqual([0]);
    expect((await collect(streamMatrix(createMatrix(0, 3))))[0]).toEqual([]);
    expect(() => streamMatrix(whole, { rowBlock: 0 })).toThrow(RangeError);
  });

  test('a cached stream reads its source once', async () => {
    const source = reusingStream();
    const cached = cacheStream(source, { byteLimit: 120 });
    const first = await collect(cached);
    expect(await collect(cached)).toEqual(first);
    expect(first).toEqual([[0, 4, 8], [...whole.data]]);
    expect(source.passes).toBe(1);
  });

  test('a stream over the byte limit is read anew in every pass', async () => {
    const source = reusingStream();
    const cached = cacheStream(source, { byteLimit: 119 });
    await collect(cached);
    expect(await collect(cached)).toEqual([[0, 4, 8], [...whole.data]]);
    expect(source.passes).toBe(2);
    expect(cached.cachedByteLength).toBe(0);
  });

  test('a stream that will be kept is shared once it is, one over the limit at once', async () => {
    const source = {
      ...reusingStream(),
      sharing: {
        rows: 10,
        columns: 3,
        rowBlock: 4,
        isInMemory: false,
        idle: 1,
        readBlock: () => expect.fail('expected blocks from memory'),
        offer: () => () => {},
      },
    };
    expect(cacheStream(source, { byteLimit: 119 }).sharing).toBe(source.sharing);
    const cached = cacheStream(source, { byteLimit: 120 });
    expect(cached.sharing).toBeUndefined();
    await collect(cached);
    const { isInMemory, idle, readBlock } = cached.sharing!;
    expect([isInMemory, idle]).toEqual([true, 1]);
    const noRoom = () => expect.fail('expected rows where they are');
    expect((await readBlock(2, noRoom)).data).toEqual(whole.data.subarray(24));
    cached.drop();
    expect(cached.sharing).toBeUndefined();
    expect(cacheStream(reusingStream(), { byteLimit: 0 }).sharing).toBeUndefined();
  });

  test('a cached stream says what it holds, and reads its source again after it was dropped', async () => {
    const source = reusingStream();
    const cached = cacheStream(source, { byteLimit: 120 });
    expect(cached.cachedByteLength).toBe(0);
    await collect(cached);
    expect(cached.cachedByteLength).toBe(120);
    cached.drop();
    expect(cached.cachedByteLength).toBe(0);
    expect(await collect(cached)).toEqual([[0, 4, 8], [...whole.data]]);
    expect(source.passes).toBe(2);
  });

  test('a pass that is given up leaves no half-filled cache', async () => {
    const source = reusingStream();
    const cached = cacheStream(source, { byteLimit: 120 });
    for await (const block of cached.blocks()) if (block.start === 4) break;
    expect(await collect(cached)).toEqual([[0, 4, 8], [...whole.data]]);
    expect(source.passes).toBe(2);
  });

  test('collecting copies blocks whose buffer is used again', async () => {
    expect(await collectStream(reusingStream())).toEqual(whole);
    expect(await collectStream(streamMatrix(createMatrix(0, 3)))).toEqual(createMatrix(0, 3));
  });
});

describe('matrices', () => {
  test('a buffer of the wrong length is refused', () => {
    expect(() => createMatrix(2, 3, new Float32Array(5))).toThrow(
      'expected 6 elements for a 2 × 3 matrix, got 5',
    );
    expect(() => createMatrix(-1, 3)).toThrow(RangeError);
  });

  test('transposing twice gives the matrix back, over tile borders', () => {
    const a = sketchMatrix(70, 33, 2);
    const t = transpose(a);
    expect([t.rows, t.columns, t.data[5]]).toEqual([33, 70, a.data[5 * 33]]);
    expect(transpose(t)).toEqual(a);
  });

  test('the squared norm does not overflow where float32 would', () => {
    expect(squaredNorm(createMatrix(1, 5, new Float32Array(5).fill(2 ** 100)))).toBe(5 * 2 ** 200);
  });
});

describe('sketch', () => {
  test('the generator is xoshiro128**: the values of its reference implementation', () => {
    const random = xoshiro128([1, 2, 3, 4]);
    const values = Array.from({ length: 6 }, random);
    expect(values).toEqual([11520, 0, 5927040, 70819200, 2031721883, 1637235492]);
  });

  test('entries have mean 0, variance 1 and no common values', () => {
    const { data } = sketchMatrix(200, 500, 3);
    const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
    const variance = data.reduce((sum, value) => sum + value * value, 0) / data.length;
    expect(Math.abs(mean)).toBeLessThan(0.01);
    expect(Math.abs(variance - 1)).toBeLessThan(0.015);
    expect(new Set(data).size).toBeGreaterThan(0.98 * data.length);
  });
});

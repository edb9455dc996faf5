/** Products whose row blocks several threads make: the bits of one thread, whoever takes part, fails or comes late. */
import { describe, expect, test } from 'vitest';
import { openWorkerPool, type WorkerPool } from '../../src/io/worker-pool.js';
import { BlockCache } from '../../src/linalg/block-cache.js';
import { createMatrix, rowRange } from '../../src/linalg/matrix.js';
import type { Failing, PassJob, PassJobResult, PassJobsInit } from '../helpers/pass-jobs.js';

/** The last of 97 blocks has fewer rows; at this width they are made in two parts. */
const MATRIX = { rows: 96 * 250 + 7, columns: 24, rowBlock: 250 };
const WIDTH = 200;

type Pool = WorkerPool<PassJob, PassJobResult | undefined>;

async function withPool<T>(threads: number, use: (pool: Pool, made: Int32Array) => Promise<T>): Promise<T> {
  const made = new SharedArrayBuffer(8);
  const pool = await openWorkerPool<PassJobsInit, PassJob, PassJobResult | undefined>({
    module: new URL('../helpers/pass-jobs.js', import.meta.url),
    init: { matrix: MATRIX, made },
    threads,
    isHere: false,
  });
  try {
    return await use(pool, new Int32Array(made));
  } finally {
    await pool.close();
  }
}

async function multiply(pool: Pool, isAlone: boolean, failing: Failing = 'nobody'): Promise<PassJobResult> {
  const { result } = await pool.run({ kind: 'multiply', width: WIDTH, isAlone, failing });
  return result!;
}

describe('a product that threads share', () => {
  test.each([2, 3, 5])('has the bits of one thread on %i', async (threads) => {
    await withPool(threads, async (pool, made) => {
      const alone = await multiply(pool, true);
      expect([pool.takenOffers, made[0], made[1]]).toEqual([0, 0, 0]);
      expect(await multiply(pool, false)).toEqual(alone);
      expect(pool.takenOffers).toBeGreaterThan(0);
      // Both products, each block once.
      expect(made[0]! + made[1]!).toBe(2 * 97);
      expect(made[1]).toBeGreaterThan(0);
    });
  });

  test('is made alone where another thread fails', async () => {
    await withPool(2, async (pool, made) => {
      const alone = await multiply(pool, true);
      expect(await multiply(pool, false, 'others')).toEqual(alone);
      expect(made[1]).toBe(1);
    });
  });

  test('fails where whoever asks for it does, and nobody waits for the rest', async () => {
    await withPool(3, async (pool) => {
      await expect(multiply(pool, false, 'asker')).rejects.toThrow(/thread \d+ cannot read/);
      const { energy } = await multiply(pool, true);
      expect(energy).toBeGreaterThan(0);
    });
  });

  test("is nobody else's on a single thread", async () => {
    await withPool(1, async (pool, made) => {
      await multiply(pool, false);
      expect([pool.takenOffers, made[0], made[1]]).toEqual([0, 0, 0]);
    });
  });
});

describe('blocks that a thread keeps', () => {
  const matrix = createMatrix(5, 2, Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  const counted = () => {
    const reads: number[] = [];
    const cache = new BlockCache({
      rows: 5,
      columns: 2,
      rowBlock: 2,
      isInMemory: false,
      async readBlock(block, room) {
        reads.push(block);
        if (block > 2) throw new Error('no such block');
        const { rows, columns, data } = rowRange(matrix, 2 * block, Math.min(5, 2 * block + 2));
        const into = room().subarray(0, data.length);
        into.set(data);
        return { rows, columns, data: into };
      },
    });
    return { cache, reads };
  };
  const noRoom = () => expect.fail('expected a room of its own');

  test('are read once as far as there is room for them, the others each time into what is given', async () => {
    const { cache, reads } = counted();
    cache.byteLimit = 40;
    const room = new Float32Array(4);
    for (let pass = 0; pass < 2; pass++) {
      for (const block of [2, 1, 0]) {
        const kept = block > 0;
        const { data } = await cache.readBlock(block, kept ? noRoom : () => room);
        expect([...data]).toEqual([...matrix.data.subarray(4 * block, 4 * block + 4)]);
        expect(data.buffer === room.buffer).toBe(!kept);
      }
    }
    expect(reads).toEqual([2, 1, 0, 0]);
    expect(cache.byteLength).toBe(32);
  });

  test('that could not be read are not kept', async () => {
    const { cache, reads } = counted();
    cache.byteLimit = 1000;
    for (let i = 0; i < 2; i++) await expect(cache.readBlock(3, noRoom)).rejects.toThrow(/no such block/);
    expect([reads, cache.byteLength]).toEqual([[3, 3], 0]);
  });
});

/** Finished tensors beside an output: what one run leaves, the next one takes over, as far as it is whole. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, open, readFile, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { ConflictError, IoError } from '../../formats/errors.js';
import { journalPath, openTensorJournal, type TensorJournal } from '../../src/io/tensor-journal.js';
import type { EncodedTensor } from '../../src/residual/encode-tensor.js';
import { loadTerms, type StoredTensor } from '../../src/residual/stored-chunks.js';
import { PACKAGE_VERSION } from '../../src/version.js';
import { listTree, withTempFolder } from '../helpers/temp-folder.js';
import { randomBytes } from '../kernels/samples.js';

const HEADER_BYTE_LENGTH = `ere ${PACKAGE_VERSION} unfinished 2\n`.length + 256;
const EAGER = { salt: 'salt', memoryByteLimit: 0 };

/** A tensor with everything a record can hold. */
function tensor(seed: number, byteLength = 300): EncodedTensor {
  return {
    terms: [
      {
        codec: 'low-rank',
        rows: [0, 7],
        params: { bits: 4, scales: [0.1, 1e-300], name: `ü${seed}` },
        chunks: [
          { bytes: randomBytes(byteLength, seed), squaredErrorDrop: Number.MIN_VALUE },
          { bytes: new Uint8Array(0), squaredErrorDrop: 1 / 3 },
        ],
      },
      {
        codec: 'interval',
        params: {},
        chunks: [{ bytes: randomBytes(byteLength / 2, seed + 1), squaredErrorDrop: 0 }],
      },
    ],
    decodedDigest: `sha256:${String(seed).padStart(64, '0')}`,
    squaredError: 0.1 * seed,
    singularValues: Float64Array.from([3, 2 / 3, 1e-17 * seed]),
    growth: { ranks: [32, 40], isComplete: false },
  };
}

/** What was put, with its payload in memory again. */
async function loaded(stored: StoredTensor): Promise<EncodedTensor> {
  return { ...stored, terms: await loadTerms(stored.terms) };
}

async function expectHolds(journal: TensorJournal, ...seeds: number[]): Promise<void> {
  for (const seed of seeds) expect(await loaded(journal.find(`key ${seed}`)!)).toEqual(tensor(seed));
}

/** A file that a run with these tensors has left. */
async function leave(path: string, ...seeds: number[]): Promise<void> {
  const journal = await openTensorJournal(path, EAGER);
  for (const seed of seeds) await journal.put(`key ${seed}`, tensor(seed));
  await journal.close();
}

const withPath = (use: (path: string, folder: string) => Promise<void>) => () =>
  withTempFolder((folder) => use(journalPath(join(folder, 'a.ere')), folder));

test('lies beside the output', () => {
  expect(journalPath('models/a.ere')).toBe('models/a.ere.unfinished');
});

describe('a run', () => {
  test(
    'reads back what it has put, from memory and from the file',
    withPath(async (path) => {
      const journal = await openTensorJournal(path, { salt: '', memoryByteLimit: 1000 });
      const stored = [];
      for (const seed of [1, 2, 3, 4]) stored.push(await journal.put(`key ${seed}`, tensor(seed)));
      for (const [i, one] of stored.entries()) expect(await loaded(one)).toEqual(tensor(i + 1));
      await journal.remove();
    }),
  );

  test(
    'of less than 16 MiB leaves no file, and one of more does until it ends',
    withPath(async (path, folder) => {
      const journal = await openTensorJournal(path, { salt: '' });
      const half = 8 * 2 ** 20;
      await journal.put('1', tensor(1, half));
      expect([await listTree(folder), journal.isKept]).toEqual([[], false]);
      await journal.put('2', tensor(2, half));
      expect([await listTree(folder), journal.isKept]).toEqual([['a.ere.unfinished'], true]);
      await journal.remove();
      expect([await listTree(folder), journal.isKept]).toEqual([[], false]);
    }),
  );

  test(
    'puts many tensors at once, in any order',
    withPath(async (path) => {
      const seeds = Array.from({ length: 40 }, (_, i) => i);
      const journal = await openTensorJournal(path, { salt: 'salt', memoryByteLimit: 5000 });
      const stored = await Promise.all(
        seeds.map((seed) => journal.put(`key ${seed}`, tensor(seed, 10 + 100 * (seed % 7)))),
      );
      for (const seed of seeds) {
        expect(await loaded(stored[seed]!)).toEqual(tensor(seed, 10 + 100 * (seed % 7)));
      }
      await journal.close();
      const resumed = await openTensorJournal(path, { ...EAGER, resume: true });
      expect(resumed.resumedCount).toBe(40);
      for (const seed of seeds) {
        expect(await loaded(resumed.find(`key ${seed}`)!)).toEqual(tensor(seed, 10 + 100 * (seed % 7)));
      }
      await resumed.close();
    }),
  );

  test(
    'that ends while tensors are on their way leaves no file behind its end',
    withPath(async (path, folder) => {
      const journal = await openTensorJournal(path, EAGER);
      const puts = [1, 2, 3].map((seed) => journal.put(`key ${seed}`, tensor(seed)));
      await Promise.all([journal.remove(), ...puts]);
      await expect(journal.put('late', tensor(4))).rejects.toThrow(IoError);
      expect(await listTree(folder)).toEqual([]);
    }),
  );
});

describe('the next run', () => {
  test(
    'takes over every record, and goes on behind them',
    withPath(async (path) => {
      await leave(path, 1, 2);
      const second = await openTensorJournal(path, { ...EAGER, resume: true });
      expect([second.resumedCount, second.isKept]).toEqual([2, true]);
      await expectHolds(second, 1, 2);
      expect(second.find('key 3')).toBeUndefined();
      await second.put('key 3', tensor(3));
      await second.close();
      const third = await openTensorJournal(path, { ...EAGER, resume: true });
      expect(third.resumedCount).toBe(3);
      await expectHolds(third, 1, 2, 3);
      await third.remove();
    }),
  );

  test(
    'begins at the start where there is no file',
    withPath(async (path, folder) => {
      const journal = await openTensorJournal(path, { salt: '', resume: true });
      expect([journal.resumedCount, journal.isKept]).toEqual([0, false]);
      await journal.remove();
      expect(await listTree(folder)).toEqual([]);
    }),
  );

  test(
    'of another salt finds none of them',
    withPath(async (path) => {
      await leave(path, 1);
      const journal = await openTensorJournal(path, { salt: 'other', resume: true });
      expect(journal.find('key 1')).toBeUndefined();
      await journal.close();
    }),
  );

  test(
    'is told of a file that it is neither to continue nor to replace, and may replace it',
    withPath(async (path, folder) => {
      await leave(path, 1);
      const before = await readFile(path);
      const error = await openTensorJournal(path, EAGER).catch((thrown) => thrown);
      expect(error).toBeInstanceOf(ConflictError);
      expect(error.message).toMatch(/^.*a\.ere\.unfinished: .*--resume.*--overwrite/);
      expect((await readFile(path)).equals(before)).toBe(true);
      const journal = await openTensorJournal(path, { ...EAGER, overwrite: true });
      expect(journal.find('key 1')).toBeUndefined();
      expect(await listTree(folder)).toEqual([]);
    }),
  );

  test(
    'refuses what another version left, and says so; it can be replaced',
    withPath(async (path) => {
      await leave(path, 1);
      const bytes = await readFile(path, 'latin1');
      await writeFile(path, bytes.replace(PACKAGE_VERSION, '9'.repeat(PACKAGE_VERSION.length)), 'latin1');
      await expect(openTensorJournal(path, { ...EAGER, resume: true })).rejects.toThrow(
        /another version; start anew with overwrite/,
      );
      const journal = await openTensorJournal(path, { ...EAGER, overwrite: true });
      await journal.close();
    }),
  );

  test(
    'neither continues nor removes a file that is none of ours',
    withPath(async (path) => {
      await writeFile(path, 'notes');
      for (const choice of [{ resume: true }, { overwrite: true }, {}]) {
        await expect(openTensorJournal(path, { ...EAGER, ...choice })).rejects.toThrow(/found another file/);
      }
      expect(await readFile(path, 'utf8')).toBe('notes');
    }),
  );
});

describe('a damaged file', () => {
  /** Resumes from changed bytes of a file with tensors 1, 2, 3. */
  async function resumeFrom(
    path: string,
    change: (bytes: Buffer, ends: readonly number[]) => Uint8Array,
    check: (journal: TensorJournal, kept: number) => Promise<void> | void = () => {},
  ): Promise<number> {
    const journal = await openTensorJournal(path, EAGER);
    const ends = [];
    for (const seed of [1, 2, 3]) {
      await journal.put(`key ${seed}`, tensor(seed));
      ends.push((await stat(path)).size);
    }
    await journal.close();
    await writeFile(path, change(await readFile(path), ends));
    const resumed = await openTensorJournal(path, { ...EAGER, resume: true });
    const kept = resumed.resumedCount;
    await check(resumed, kept);
    await expectHolds(resumed, ...[1, 2, 3].slice(0, kept));
    // What it had not is put anew, and found by a third run.
    for (const seed of [1, 2, 3].slice(kept)) await resumed.put(`key ${seed}`, tensor(seed));
    await resumed.close();
    const third = await openTensorJournal(path, { ...EAGER, resume: true });
    await expectHolds(third, 1, 2, 3);
    expect((await stat(path)).size).toBe(ends[2]);
    await third.remove();
    return kept;
  }

  test(
    'that was cut short anywhere goes on behind the last whole record',
    withPath(async (path) => {
      const cuts = [0, 1, 10, HEADER_BYTE_LENGTH - 1, HEADER_BYTE_LENGTH, HEADER_BYTE_LENGTH + 3];
      for (const cut of cuts) expect(await resumeFrom(path, (bytes) => bytes.subarray(0, cut))).toBe(0);
      for (const back of [1, 8, 200, 449]) {
        expect(await resumeFrom(path, (bytes, ends) => bytes.subarray(0, ends[1]! - back))).toBe(1);
      }
      for (const more of [0, 1, 4, 7, 8, 9, 60]) {
        expect(await resumeFrom(path, (bytes, ends) => bytes.subarray(0, ends[1]! + more))).toBe(2);
      }
    }),
  );

  test(
    'with a flipped bit keeps the records before it',
    withPath(async (path) => {
      // In the length, its checksum, the head and the payload of the second record.
      for (const offset of [0, 3, 4, 20, 150]) {
        const flip = (bytes: Buffer, ends: readonly number[]) => {
          bytes[ends[0]! + offset]! ^= 16;
          return bytes;
        };
        expect(await resumeFrom(path, flip)).toBe(1);
      }
      for (const back of [1, 100, 440]) {
        const flip = (bytes: Buffer, ends: readonly number[]) => {
          bytes[ends[1]! - back]! ^= 1;
          return bytes;
        };
        expect(await resumeFrom(path, flip)).toBe(1);
      }
    }),
  );

  test(
    'with a hole, where one record was never written and a later one was, ends before it',
    withPath(async (path) => {
      const hole = (bytes: Buffer, ends: readonly number[]) => bytes.fill(0, ends[0], ends[1]);
      expect(await resumeFrom(path, hole)).toBe(1);
    }),
  );

  test(
    'that changes while it is in use is an error, never another payload',
    withPath(async (path) => {
      const journal = await openTensorJournal(path, EAGER);
      await journal.put('first', tensor(1)); // These stay in memory.
      const stored = await journal.put('second', tensor(2));
      const bytes = await readFile(path);
      bytes[bytes.length - 1]! ^= 1;
      await writeFile(path, bytes);
      await expect(loadTerms(stored.terms)).rejects.toThrow(/changed while it was in use/);
      await journal.remove();
    }),
  );
});

describe('a second run at the same time', () => {
  test(
    'is refused, whether it resumes or overwrites, until the first has ended',
    withPath(async (path) => {
      const first = await openTensorJournal(path, EAGER);
      await first.put('key 1', tensor(1));
      for (const choice of [{ resume: true }, { overwrite: true }, {}]) {
        await expect(openTensorJournal(path, { ...EAGER, ...choice })).rejects.toThrow(
          new RegExp(`process ${process.pid} is working on it`),
        );
      }
      await first.close();
      const second = await openTensorJournal(path, { ...EAGER, resume: true });
      await expectHolds(second, 1);
      await second.remove();
    }),
  );

  test(
    'that began before the first had a file fails when it needs one, and leaves the other',
    withPath(async (path) => {
      const first = await openTensorJournal(path, EAGER);
      const second = await openTensorJournal(path, EAGER);
      await first.put('key 1', tensor(1));
      await expect(second.put('key 2', tensor(2))).rejects.toThrow(ConflictError);
      expect(second.isKept).toBe(false);
      await second.remove();
      await first.close();
      const resumed = await openTensorJournal(path, { ...EAGER, resume: true });
      await expectHolds(resumed, 1);
      await resumed.remove();
    }),
  );

  test(
    'is one that has died: its number given to another process, or on another host, does not count',
    withPath(async (path) => {
      await leave(path, 1);
      const kept = `${path}.kept`;
      await copyFile(path, kept);
      const child = spawn(process.execPath, ['-e', '']);
      const { pid } = child;
      await once(child, 'exit');
      for (const owner of [
        [hostname(), pid, ''],
        [hostname(), process.pid, '1'],
        [`not-${hostname()}`, process.pid, ''],
      ]) {
        const bytes = await readFile(kept);
        bytes.fill(0x20, HEADER_BYTE_LENGTH - 256, HEADER_BYTE_LENGTH - 1);
        bytes.write(JSON.stringify(owner), HEADER_BYTE_LENGTH - 256);
        await writeFile(path, bytes);
        const journal = await openTensorJournal(path, { ...EAGER, resume: true });
        expect(journal.resumedCount).toBe(1);
        await journal.close();
      }
    }),
  );
});

describe('a system that refuses', () => {
  test(
    'to create the file is an IoError with its path',
    withPath(async (_path, folder) => {
      const path = join(folder, `${'x'.repeat(300)}.unfinished`);
      const journal = await openTensorJournal(path, { salt: '', memoryByteLimit: 0 }).catch((e) => e);
      expect(journal).toBeInstanceOf(IoError);
      expect(journal.message).toContain('.unfinished: cannot open');
    }),
  );

  test(
    'to write is an IoError, and the records before it are there for the next run',
    withPath(async (path, folder) => {
      const journal = await openTensorJournal(path, EAGER);
      await journal.put('key 1', tensor(1));
      await withFailingWrites(folder, async () => {
        const error = await journal.put('key 2', tensor(2)).catch((thrown) => thrown);
        expect(error).toBeInstanceOf(IoError);
        expect(error.message).toBe(`${path}: cannot write: no space left on the device (ENOSPC)`);
      });
      expect(journal.isKept).toBe(true);
      await journal.close();
      const resumed = await openTensorJournal(path, { ...EAGER, resume: true });
      expect(resumed.resumedCount).toBe(1);
      await expectHolds(resumed, 1);
      await resumed.remove();
    }),
  );

  test(
    'the first write leaves nothing that counts as kept',
    withPath(async (path, folder) => {
      const journal = await openTensorJournal(path, EAGER);
      await withFailingWrites(folder, async () => {
        await expect(journal.put('key 1', tensor(1))).rejects.toThrow(IoError);
      });
      expect(journal.isKept).toBe(false);
      await journal.remove();
      expect(await listTree(folder)).toEqual([]);
    }),
  );
});

/** Makes every write of an open file fail as on a full disk. */
async function withFailingWrites(folder: string, use: () => Promise<void>): Promise<void> {
  const handle = await open(folder, 'r');
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  const spy = vi.spyOn(Object.getPrototypeOf(handle), 'write').mockRejectedValue(full);
  try {
    await use();
  } finally {
    spy.mockRestore();
    await handle.close();
  }
}

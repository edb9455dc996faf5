/** What decoding reads: of one tensor what belongs to it, and every byte of its base once, in order. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openArchive } from '../../formats/ere/open-archive.js';
import { openSafetensors } from '../../formats/safetensors/open-safetensors.js';
import { safetensorsCheckpoint } from '../../formats/safetensors/safetensors-checkpoint.js';
import { openFileSource } from '../../src/io/file-source.js';
import { nodeRuntime } from '../../src/io/node-runtime.js';
import { decodeVerified } from '../../src/residual/decode-verified.js';
import { type CountingSource, countingSource } from '../helpers/counting-source.js';
import { type LargePair, writeLargePair } from '../helpers/large-pair.js';

let folder: string;
let pair: LargePair;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ere-reads-'));
  pair = await writeLargePair(folder, [
    { name: 'large', rows: 12_000, columns: 512, residual: 8 },
    { name: 'coded', rows: 3000, columns: 512, residual: 'dense' },
    { name: 'small', rows: 300, columns: 512, residual: 8 },
  ]);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Reads {
  /** Of the archive behind its index, and of the base behind its header. */
  readonly archive: CountingSource['reads'];
  readonly base: CountingSource['reads'];
  readonly bytes: number;
}

async function readsOf(name: string): Promise<Reads> {
  const files = [await openFileSource(pair.archive), await openFileSource(pair.base)] as const;
  try {
    const [archiveSource, baseSource] = [countingSource(files[0]), countingSource(files[1])];
    const archive = await openArchive(archiveSource);
    const file = await openSafetensors(baseSource);
    const base = safetensorsCheckpoint({ location: pair.base, shards: [{ path: 'base.safetensors', file }] });
    const before = [archiveSource.reads.length, baseSource.reads.length];
    const number = archive.index.tensors.findIndex((tensor) => tensor.name === name);
    let bytes = 0;
    await decodeVerified({ archive, base, runtime: nodeRuntime('wasm') }, number, (_, part) => {
      bytes += part.byteLength;
    });
    return { archive: archiveSource.reads.slice(before[0]), base: baseSource.reads.slice(before[1]), bytes };
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
}

const total = (reads: CountingSource['reads']) => reads.reduce((sum, [, length]) => sum + length, 0);

test.each([
  ['large', 12_000],
  ['coded', 3000],
  ['small', 300],
])('%s: its base bytes once and in order, and its chunks', async (name, rows) => {
  const { archive, base, bytes } = await readsOf(name);
  expect(bytes).toBe(rows * 1024);
  expect(total(base)).toBe(rows * 1024);
  for (const [i, [offset]] of base.entries()) {
    if (i > 0) expect(offset).toBe(base[i - 1]![0] + base[i - 1]![1]);
  }
  const source = await openFileSource(pair.archive);
  const { index } = await openArchive(source);
  await source.close();
  const tensor = index.tensors.find((candidate) => candidate.name === name)!;
  const chunks = tensor.terms.flatMap((term) => term.chunks.map((chunk) => index.chunks[chunk]![0]));
  expect(total(archive)).toBe(chunks.reduce((sum, byteLength) => sum + byteLength, 0));
});

test('the reads of tensors that differ in size differ as much', async () => {
  const [large, small] = [await readsOf('large'), await readsOf('small')];
  expect(total(large.base) / total(small.base)).toBeCloseTo(40, 6);
  // The columns' factors are the same.
  expect(total(large.archive) / total(small.archive)).toBeLessThan(40);
});

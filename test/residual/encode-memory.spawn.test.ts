/** Resident memory of a process that encodes: under the cap that it was given, and the same bytes as without one. */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encode } from '../../src/index.js';
import {
  ENCODER_THREAD_BYTE_LENGTH,
  encoderMemoryBudget,
  MIN_ENCODER_MEMORY_CAP,
  MIN_SHARE_BYTE_LENGTH,
  THREAD_BYTE_LENGTH,
} from '../../src/residual/memory-budget.js';
import { makeCheckpoint } from '../bench/make-checkpoint/make-checkpoint.js';
import { PROJECT_ROOT, spawnNode } from '../helpers/project.js';

const MIB = 2 ** 20;
/** The least cap of two threads. */
const TWO_THREADS_CAP =
  MIN_ENCODER_MEMORY_CAP + THREAD_BYTE_LENGTH + MIN_SHARE_BYTE_LENGTH + ENCODER_THREAD_BYTE_LENGTH;
/** Every pass over the residuals, and quick coding. */
const budget = { kind: 'rank', rank: 8 };

let folder: string;
let pair: { readonly base: string; readonly fineTuned: string };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ere-memory-'));
  pair = await makeCheckpoint({ parameterCount: 60e6, output: join(folder, 'models') });
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Peak resident bytes of a process that encodes, and the digest of what it wrote. */
async function encoded(memoryCap: number, threads: number): Promise<{ peak: number; digest: string }> {
  const output = join(folder, `${threads}.ere`);
  const library = pathToFileURL(join(PROJECT_ROOT, 'dist/src/index.js')).href;
  const options = { base: pair.base, output, memoryCap, threads, budget, gemm: 'wasm' };
  const script =
    `import('${library}').then((library) => library.encode(...${JSON.stringify([pair.fineTuned, options])}))` +
    '.then(() => process.stdout.write(String(process.resourceUsage().maxRSS * 1024)));';
  const { status, stdout, stderr } = await spawnNode(folder, '-e', script);
  expect([status, stderr]).toEqual([0, '']);
  const digest = createHash('sha256')
    .update(await readFile(output))
    .digest('hex');
  return { peak: Number(stdout), digest };
}

test('60 M parameters, 120 MB a side, are encoded in the least cap as in a wide one', async () => {
  const narrow = await encoded(MIN_ENCODER_MEMORY_CAP, 4);
  expect(narrow.peak).toBeLessThan(MIN_ENCODER_MEMORY_CAP);
  // The embedding of 16 M weights is shared by two threads where they fit.
  const both = await encoded(TWO_THREADS_CAP, 3);
  expect(encoderMemoryBudget({ memoryCap: TWO_THREADS_CAP, threads: 3 }).threads).toBe(2);
  expect(both.peak).toBeLessThan(TWO_THREADS_CAP);
  expect(both.digest).toBe(narrow.digest);
  const wide = await encoded(4096 * MIB, 2);
  // There the residuals stay in memory: the cap holds something back.
  expect(wide.peak).toBeGreaterThan(MIN_ENCODER_MEMORY_CAP);
  expect(narrow.digest).toBe(wide.digest);
}, 180_000);

test('a cap that is too small is refused before any work', async () => {
  const options = { base: pair.base, output: join(folder, 'b.ere'), memoryCap: MIN_ENCODER_MEMORY_CAP - 1 };
  await expect(encode(pair.fineTuned, options)).rejects.toThrow(
    /expected a memoryCap of at least 335544320 bytes/,
  );
});

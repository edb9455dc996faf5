/** Resident memory of a process that decodes: under the cap that it was given, whatever the tensors' sizes. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decode } from '../../src/index.js';
import { MIN_MEMORY_CAP } from '../../src/residual/memory-budget.js';
import { type LargePair, writeLargePair } from '../helpers/large-pair.js';
import { PROJECT_ROOT, spawnEre, spawnNode } from '../helpers/project.js';

const MIB = 2 ** 20;

let folder: string;
let pair: LargePair;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ere-memory-'));
  pair = await writeLargePair(folder, [
    { name: 'embed', rows: 64_000, columns: 1024, residual: 4 },
    { name: 'head', rows: 8000, columns: 1024, residual: 'dense' },
    { name: 'w', rows: 2048, columns: 1024, residual: 16, bits: 8 },
  ]);
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Peak resident bytes of a process that runs one operation of the library. */
async function peakOf(operation: string, options: Record<string, unknown>): Promise<number> {
  const library = pathToFileURL(join(PROJECT_ROOT, 'dist/src/index.js')).href;
  const argv = JSON.stringify([pair.archive, { base: pair.base, ...options }]);
  const script =
    `import('${library}').then((library) => library.${operation}(...${argv})).then(() => ` +
    'process.stdout.write(String(process.resourceUsage().maxRSS * 1024)));';
  const { status, stdout, stderr } = await spawnNode(folder, '-e', script);
  expect([status, stderr]).toEqual([0, '']);
  return Number(stdout);
}

describe('a base of 145 MiB, its largest tensor 125 MiB', () => {
  test.each([
    [MIN_MEMORY_CAP, 4],
    [250 * MIB, 2],
    [410 * MIB, 4],
  ])('decodes in %i bytes with up to %i threads', async (memoryCap, threads) => {
    const output = join(folder, `out-${threads}.safetensors`);
    expect(await peakOf('decode', { output, memoryCap, threads, overwrite: true })).toBeLessThan(memoryCap);
    await rm(output);
  });

  test('is verified under the same cap', async () => {
    expect(await peakOf('verify', { memoryCap: 250 * MIB, threads: 2 })).toBeLessThan(250 * MIB);
  });
});

test('--memory is checked before any work', async () => {
  const output = join(folder, 'out.safetensors');
  const argv = ['decode', pair.base, pair.archive, '-o', output, '--memory'];
  const { status, stderr } = await spawnEre(folder, ...argv, '1MiB');
  expect(status).not.toBe(0);
  expect(stderr).toContain('Expected at least 168MiB');
});

test('a tensor whose factors need more than the cap is refused by name', async () => {
  const small = await mkdtemp(join(tmpdir(), 'ere-memory-'));
  try {
    const wide = await writeLargePair(small, [{ name: 'wide', rows: 2048, columns: 16_384, residual: 300 }]);
    const options = { base: wide.base, output: join(small, 'out.safetensors') };
    const decoding = decode(wide.archive, { ...options, memoryCap: MIN_MEMORY_CAP });
    await expect(decoding).rejects.toMatchObject({ code: 'ERE_LIMIT', limit: MIN_MEMORY_CAP });
    await expect(decoding).rejects.toThrow(/tensor "wide": decoding it takes up to \d+ MiB of memory/);
    await decode(wide.archive, { ...options, memoryCap: 320 * MIB, threads: 8 });
  } finally {
    await rm(small, { recursive: true, force: true });
  }
});

/** Generated checkpoints of two million parameters: files, determinism, spectra, refusals. */
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Matrix as DenseMatrix, SingularValueDecomposition } from 'ml-matrix';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Checkpoint } from '../../../formats/checkpoint.js';
import { openCheckpoint } from '../../../src/io/open-checkpoint.js';
import { fromBf16, residualOf } from '../../helpers/pairs/pair.js';
import { listTree, withTempFolder } from '../../helpers/temp-folder.js';
import { type MadeCheckpoint, makeCheckpoint } from './make-checkpoint.js';
import { BASE_DEVIATION, BULK_DEVIATION, spikeRank } from './tensor-rows.js';

const PARAMETERS = 2e6;
const SHARD_BYTE_LENGTH = 1e6;
const QUERY = 'model.layers.3.self_attn.q_proj.weight';
const options = { parameterCount: PARAMETERS, shardByteLength: SHARD_BYTE_LENGTH, threads: 1 };

function rootMeanSquare(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
}

/** Whether two trees are the same; `toEqual` takes seconds a megabyte. */
function expectSameFiles(
  found: ReadonlyMap<string, Buffer>,
  expected: ReadonlyMap<string, Buffer>,
  isSame: (path: string) => boolean = () => true,
): void {
  expect([...found.keys()]).toEqual([...expected.keys()]);
  for (const [path, bytes] of found) expect(bytes.equals(expected.get(path)!), path).toBe(isSame(path));
}

async function filesOf(folder: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const path of await listTree(folder)) files.set(path, await readFile(join(folder, path)));
  return files;
}

describe('a pair of two million parameters', () => {
  let folder: string;
  let made: MadeCheckpoint;
  let base: Checkpoint;
  let fineTuned: Checkpoint;
  let release: () => void;
  let closed: Promise<void>;

  beforeAll(async () => {
    await new Promise<void>((ready, failed) => {
      closed = withTempFolder(async (temporary) => {
        folder = join(temporary, 'on the way', 'pair');
        made = await makeCheckpoint({ ...options, output: folder });
        base = await openCheckpoint(made.base);
        fineTuned = await openCheckpoint(made.fineTuned);
        const done = new Promise<void>((resolve) => {
          release = resolve;
        });
        ready();
        await done;
        await base.close();
        await fineTuned.close();
      });
      closed.catch(failed);
    });
  });

  afterAll(async () => {
    release();
    await closed;
  });

  const pairOf = async (name: string) => ({
    base: await base.read(name),
    fineTuned: await fineTuned.read(name),
  });

  test('both checkpoints open and have the tensors of a Llama, in bf16', () => {
    expect(made).toMatchObject({ base: join(folder, 'base'), fineTuned: join(folder, 'fine-tuned') });
    expect([...fineTuned.tensors]).toEqual([...base.tensors]);
    const tensors = [...base.tensors.values()];
    expect(tensors.every(({ dtype }) => dtype === 'BF16')).toBe(true);
    const count = tensors.reduce((sum, { shape }) => sum + shape.reduce((x, y) => x * y, 1), 0);
    expect(count).toBe(made.parameterCount);
    expect(Math.abs(count / PARAMETERS - 1)).toBeLessThan(0.05);
    expect(base.tensors.get(QUERY)?.shape).toEqual([128, 128]);
    expect(base.tensors.get('model.layers.0.self_attn.k_proj.weight')?.shape).toEqual([64, 128]);
    expect(base.tensors.get('model.norm.weight')?.shape).toEqual([128]);
  });

  test('shards are below the shard size, and the index has the bytes of the tensors', async () => {
    for (const part of [made.base, made.fineTuned]) {
      const names = await readdir(part);
      const shards = names.filter((name) => name.endsWith('.safetensors'));
      expect(shards).toHaveLength(made.shardCount);
      expect(shards[0]).toBe(`model-00001-of-0000${made.shardCount}.safetensors`);
      for (const name of shards)
        expect((await stat(join(part, name))).size).toBeLessThanOrEqual(SHARD_BYTE_LENGTH);
      const index = JSON.parse(await readFile(join(part, 'model.safetensors.index.json'), 'utf8'));
      expect(index.metadata).toEqual({ total_size: 2 * made.parameterCount });
      const config = JSON.parse(await readFile(join(part, 'config.json'), 'utf8'));
      expect(config).toMatchObject({ model_type: 'llama', num_hidden_layers: 8, num_key_value_heads: 2 });
    }
  });

  test('equal seeds give equal bytes for 1 and 2 threads, other seeds others', async () => {
    const files = await filesOf(folder);
    await withTempFolder(async (temporary) => {
      await makeCheckpoint({ ...options, threads: 2, output: join(temporary, 'again') });
      expectSameFiles(await filesOf(join(temporary, 'again')), files);
      await makeCheckpoint({ ...options, seed: 2, output: join(temporary, 'other') });
      expectSameFiles(await filesOf(join(temporary, 'other')), files, (path) => path.endsWith('.json'));
    });
  });

  test('base weights have spread 0.02; rows and columns differ in scale', async () => {
    const values = fromBf16(await base.read(QUERY));
    expect(rootMeanSquare(values) / BASE_DEVIATION).toBeCloseTo(1, 1);
    const rows = Array.from({ length: 128 }, (_, i) => rootMeanSquare(values.slice(128 * i, 128 * (i + 1))));
    expect(Math.max(...rows) / Math.min(...rows)).toBeGreaterThan(1.5); // 1.4 without scales
  });

  test('residuals have decaying spikes over a bulk', async () => {
    const residual = residualOf({ name: QUERY, rows: 128, columns: 128, ...(await pairOf(QUERY)) });
    const dense = DenseMatrix.from1DArray(128, 128, [...residual]);
    const values = new SingularValueDecomposition(dense).diagonal;
    const rank = spikeRank(128, 128);
    const total = values.reduce((sum, x) => sum + x * x, 0);
    const spikes = values.slice(0, rank).reduce((sum, x) => sum + x * x, 0);
    const bulkDeviation = Math.sqrt((total - spikes) / 128 ** 2);
    expect(bulkDeviation / BULK_DEVIATION).toBeGreaterThan(0.4);
    expect(bulkDeviation / BULK_DEVIATION).toBeLessThan(2);
    expect(values[0]! / values[rank - 1]!).toBeGreaterThan(3);
    // The bulk ends at about its edge (Marchenko–Pastur), and flat; the last spike is well over it.
    const edge = bulkDeviation * 2 * Math.sqrt(128);
    expect(values[rank]! / edge).toBeGreaterThan(0.9);
    expect(values[rank]! / edge).toBeLessThan(1.3);
    const falls = values.slice(rank, rank + 12).map((value, i) => value / values[rank + i + 1]!);
    expect(Math.max(...falls)).toBeLessThan(1.06);
    expect(values[rank - 1]! / values[rank]!).toBeGreaterThan(1.1);
  });

  test('of an embedding few rows change much, most not at all', async () => {
    const name = 'model.embed_tokens.weight';
    const [rows, columns] = base.tensors.get(name)!.shape as [number, number];
    const residual = residualOf({ name, rows, columns, ...(await pairOf(name)) });
    const changes = Array.from({ length: rows }, (_, i) =>
      rootMeanSquare(residual.slice(columns * i, columns * (i + 1))),
    );
    const unchangedShare = changes.filter((change) => change === 0).length / rows;
    const strongShare = changes.filter((change) => change > 3 * BULK_DEVIATION).length / rows;
    expect(unchangedShare).toBeCloseTo(0.6, 1);
    expect(strongShare).toBeGreaterThan(0.01);
    expect(strongShare).toBeLessThan(0.04);
  });

  test('norms are near 1 and change in a few elements', async () => {
    const name = 'model.norm.weight';
    const pair = await pairOf(name);
    expect(fromBf16(pair.base).every((x) => x > 0.5 && x < 1.5)).toBe(true);
    const residual = residualOf({ name, rows: 1, columns: 128, ...pair });
    const changed = residual.filter((x) => x !== 0);
    expect(changed.length).toBeGreaterThan(0);
    expect(changed.length).toBeLessThan(64);
    expect(Math.max(...changed.map(Math.abs))).toBeLessThan(0.05);
  });
});

test('a model in one shard has no index', async () => {
  await withTempFolder(async (folder) => {
    const { base } = await makeCheckpoint({ parameterCount: 3e5, output: join(folder, 'pair'), threads: 1 });
    expect((await readdir(base)).sort()).toEqual([
      'config.json',
      'generation_config.json',
      'model.safetensors',
    ]);
  });
});

describe('outputs that are there', () => {
  test('an empty folder is filled, one with files is refused and stays', async () => {
    await withTempFolder(async (folder) => {
      const output = join(folder, 'pair');
      await mkdir(output);
      await makeCheckpoint({ parameterCount: 3e5, output, threads: 1 });
      const files = await filesOf(output);
      const refused = makeCheckpoint({ parameterCount: 3e5, seed: 2, output, threads: 1 });
      await expect(refused).rejects.toMatchObject({
        code: 'ERE_CONFLICT',
        message: `${output}: expected no such folder or an empty one, found something there; remove it`,
      });
      expectSameFiles(await filesOf(output), files);
    });
  });

  test('a file is refused', async () => {
    await withTempFolder(async (folder) => {
      const output = join(folder, 'pair');
      await writeFile(output, 'kept');
      await expect(makeCheckpoint({ ...options, output })).rejects.toMatchObject({ code: 'ERE_CONFLICT' });
      expect(await readFile(output, 'utf8')).toBe('kept');
    });
  });
});

test.each([1, 2])('an abort in the middle leaves nothing, %i threads', async (threads) => {
  await withTempFolder(async (folder) => {
    const controller = new AbortController();
    const aborted = makeCheckpoint({
      ...options,
      threads,
      output: join(folder, 'pair'),
      signal: controller.signal,
      onProgress: () => controller.abort('SIGINT'),
    });
    await expect(aborted).rejects.toMatchObject({ code: 'ERE_ABORTED' });
    expect(await listTree(folder)).toEqual([]);
  });
});

test('progress ends at the parameter count', async () => {
  await withTempFolder(async (folder) => {
    const told: number[] = [];
    const { parameterCount } = await makeCheckpoint({
      parameterCount: 3e5,
      output: join(folder, 'pair'),
      threads: 2,
      onProgress: (done) => told.push(done),
    });
    expect(told).toEqual([...told].sort((x, y) => x - y));
    expect(told.at(-1)).toBe(parameterCount);
  });
});

test('seeds, sizes and threads out of range are refused before anything is written', async () => {
  await withTempFolder(async (folder) => {
    const output = join(folder, 'pair');
    for (const wrong of [
      { seed: -1 },
      { seed: 2 ** 32 },
      { seed: Number.NaN },
      { shardByteLength: 0 },
      { threads: 0 },
    ]) {
      await expect(makeCheckpoint({ ...options, ...wrong, output })).rejects.toThrow(RangeError);
    }
    expect(await listTree(folder)).toEqual([]);
  });
});

test('a model larger than the disk is refused before anything is written', async () => {
  await withTempFolder(async (folder) => {
    const refused = makeCheckpoint({ parameterCount: 1e14, output: join(folder, 'pair') });
    await expect(refused).rejects.toMatchObject({ code: 'ERE_IO' });
    expect(await listTree(folder)).toEqual([]);
  });
});

test('the command refuses with one line on stderr and a status of its own', async () => {
  await withTempFolder(async (folder) => {
    const command = fileURLToPath(new URL('../make-checkpoint.js', import.meta.url));
    const run = (...argv: string[]) => promisify(execFile)(process.execPath, [command, ...argv]);
    await writeFile(join(folder, 'kept'), '');
    await expect(run('--params', '2M', '--out', folder)).rejects.toMatchObject({
      code: 11,
      stdout: '',
      stderr: `${folder}: expected no such folder or an empty one, found something there; remove it\n`,
    });
    await expect(run('--params', 'many', '--out', folder)).rejects.toMatchObject({
      stderr: 'expected a parameter count such as 125M, 1B or 7B, got "many"\n',
    });
    const { stdout } = await run(
      '--params',
      '300K',
      '--out',
      join(folder, 'pair'),
      '--threads',
      '1',
      '--seed',
      '5',
    );
    expect(stdout).toContain(`${join(folder, 'pair', 'base')} and ${join(folder, 'pair', 'fine-tuned')}: `);
  });
});

/** checkout: any checkpoint that was committed comes back byte for byte, whatever became of its tensors on the way. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../src/io/open-checkpoint.js';
import type { Model } from '../helpers/models.js';
import { type Committed, runModel, withStore } from '../helpers/stores.js';
import { normal, random } from '../helpers/tensor-pairs.js';
import { tinylm } from '../helpers/tinylm.js';
import { randomBytes } from '../kernels/samples.js';

/** A step of the run with other tensors beside. */
const withTensors = (step: number, ...tensors: Model['tensors']): Model => ({
  ...runModel(step),
  tensors: [...runModel(step).tensors, ...tensors],
});

/** Commits all against the base, and each against the one before; all come back. */
async function expectRoundTrips(models: readonly Model[]): Promise<void> {
  await withStore(async ({ commit, expectCheckout, store }) => {
    const committed: Committed[] = [];
    for (const model of models) committed.push(await commit(model, { model: 'direct', against: 'base' }));
    for (const [i, model] of models.entries()) {
      const against = i === 0 ? {} : { against: committed.at(-1)!.id };
      committed.push(await commit(model, { model: 'chain', ...against }));
    }
    for (const { id, path } of committed) await expectCheckout(id, path);
    expect((await store.fsck({ full: true, threads: 1 })).problems).toEqual([]);
  });
}

describe('checkout gives back', () => {
  test('tensors that grow, shrink, come and go', async () => {
    await expectRoundTrips([
      withTensors(1, normal('embedding', 'BF16', [32, 16], 1)),
      withTensors(2, normal('embedding', 'BF16', [40, 16], 1), normal('new', 'F32', [8, 8], 2)),
      withTensors(3, normal('embedding', 'BF16', [24, 16], 1)),
    ]);
  });

  test('tensors that change their float type', async () => {
    const dtypes = ['F32', 'BF16', 'F16', 'F64', 'F8_E4M3', 'F8_E5M2'] as const;
    await expectRoundTrips(dtypes.map((dtype) => withTensors(1, normal('cast', dtype, [24, 16], 1))));
  });

  test('integers, booleans and bytes that no float is made of', async () => {
    const dtypes = ['I8', 'U8', 'I16', 'U16', 'I32', 'U32', 'I64', 'U64', 'BOOL'] as const;
    const sizes = { I8: 1, U8: 1, I16: 2, U16: 2, I32: 4, U32: 4, I64: 8, U64: 8, BOOL: 1 };
    const model = (step: number) =>
      withTensors(
        step,
        ...dtypes.map((dtype) => random(`t.${dtype}`, dtype, [6, 5], 30 * sizes[dtype], 10 + step)),
      );
    await expectRoundTrips([model(1), model(2)]);
  });

  test('equal bytes in other shapes and types, in one version and across', async () => {
    // Small numbers as floats of any type.
    const data = randomBytes(96, 5).map((byte) => 0x30 | (byte & 0xf));
    const model = (step: number) =>
      withTensors(
        step,
        { name: 'x.a', dtype: 'F32', shape: [4, 6], data },
        { name: 'x.b', dtype: 'F32', shape: [24], data },
        { name: 'x.c', dtype: 'BF16', shape: [6, 8], data },
        { name: 'x.d', dtype: 'I32', shape: [2, 3, 4], data },
        { name: 'x.e', dtype: 'F32', shape: [4, 6], data },
      );
    const renamed: Model['tensors'] = [{ name: 'x.a', dtype: 'BF16', shape: [8, 6], data }];
    await expectRoundTrips([model(1), model(2), withTensors(3, ...renamed)]);
  });

  test('empty tensors, scalars, and NaN, infinities and negative zeros', async () => {
    const special = new Uint8Array(Float32Array.of(Number.NaN, -0, 0, Infinity, -Infinity, 1e-42).buffer);
    const model = (step: number) =>
      withTensors(
        step,
        { name: 'empty', dtype: 'F32', shape: [0, 7], data: new Uint8Array(0) },
        { name: 'scalar', dtype: 'F32', shape: [], data: special.subarray(4 * step, 4 * step + 4) },
        { name: 'special', dtype: 'F32', shape: [2, 3], data: special },
      );
    await expectRoundTrips([model(1), model(2), model(3)]);
  });

  test('shards, metadata, and the same tensors in one file again', async () => {
    const { tensors, sideFiles } = runModel(1);
    const names = tensors.map(({ name }) => name);
    const shards = [names.slice(0, 2), names.slice(2)];
    await expectRoundTrips([
      { tensors, shards, sideFiles: sideFiles! },
      { tensors, metadata: { format: 'pt', note: 'ünïcödé' } },
      { tensors: [...tensors].reverse(), shards: [names] },
    ]);
  });

  test('tensors of any names', async () => {
    const names = ['', ' ', '../x', 'a/b\\c', '"', 'ü\u0000', '__proto__', 'x'.repeat(1000)];
    await expectRoundTrips([
      withTensors(1, ...names.map((name, i) => normal(name, 'F32', [4, 4], i))),
      withTensors(2, ...names.map((name, i) => normal(name, 'F32', [4, 4], i + 1))),
    ]);
  });

  test('a lossy version as it was decoded when it was committed, through a chain of lossy ones', async () => {
    await withStore(async ({ commit, store, folder }) => {
      const first = await commit(1, { budget: { kind: 'step', step: 0.005 } });
      const second = await commit(2, { against: first.id });
      const third = await commit(3, { against: second.id });
      for (const { id, version } of [first, second, third]) {
        const output = join(folder, id.slice(7, 19));
        expect((await store.checkout(id, { output, threads: 1 })).digest).toBe(version.digest);
      }
      expect((await store.fsck({ full: true, threads: 1 })).problems).toEqual([]);
    });
  });
});

describe('checkout', () => {
  test('writes the weights alone to a .safetensors, and folders over others only when told so', async () => {
    await withStore(async ({ commit, store, folder }) => {
      const { path } = await commit(1);
      const output = join(folder, 'weights.safetensors');
      const report = await store.checkout('main', { output, threads: 1 });
      expect(report.files).toEqual([output]);
      expect(await readFile(output)).toEqual(await readFile(join(path, 'model.safetensors')));
      await expect(store.checkout('main', { output })).rejects.toMatchObject({ code: 'ERE_CONFLICT' });
      await store.checkout('main', { output, overwrite: true, threads: 1 });
    });
  });

  test('is the same with worker threads', async () => {
    await withStore(async ({ commit, store, folder }) => {
      await commit(1);
      const { path } = await commit(2, { against: 'main' });
      const output = join(folder, 'parallel.safetensors');
      await store.checkout('main', { output, threads: 2 });
      expect(await readFile(output)).toEqual(await readFile(join(path, 'model.safetensors')));
    });
  });

  test('tensors of a real fine-tune come back byte for byte', async () => {
    await withStore(async ({ store, write, commit, expectCheckout }) => {
      await store.addBase('tinylm', await write('tinylm', await partOf(tinylm('base'))), { threads: 1 });
      const { path, version, ratio } = await commit(await partOf(tinylm('python')), { model: 'python' });
      expect(version.base?.name).toBe('tinylm');
      expect(ratio).toBeLessThan(0.8);
      await expectCheckout('python', path);
    });
  });
});

/** The first block of a checkpoint. */
async function partOf(path: string): Promise<Model> {
  const checkpoint = await openCheckpoint(path);
  try {
    const tensors = [];
    for (const { name, dtype, shape, byteLength } of checkpoint.tensors.values()) {
      if (byteLength > 300_000 || tensors.length === 8) continue;
      tensors.push({ name, dtype, shape, data: await checkpoint.read(name) });
    }
    return { tensors };
  } finally {
    await checkpoint.close();
  }
}

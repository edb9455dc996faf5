/** Stores in temporary folders, and small training runs to commit: every version a step away from the one before. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { AddBaseOptions, CommitOptions, CommitReport, Store } from '../../src/store/api.js';
import { initStore } from '../../src/store/open-store.js';
import { normalFloats } from '../kernels/samples.js';
import { floatTensor, type Model, QUICK, writeModel } from './models.js';
import type { TensorToWrite } from './safetensors-bytes.js';
import { listTree, withTempFolder } from './temp-folder.js';

const MATRICES = { 'layers.0.weight': [64, 48], 'layers.1.weight': [48, 48] } as const;

/** A model of a run: 0 is the base, each other one a step of all matrices away from the one before. */
export function runModel(step: number, { stepSize = 0.02 }: { readonly stepSize?: number } = {}): Model {
  const tensors: TensorToWrite[] = Object.entries(MATRICES).map(([name, shape], i) => {
    const count = shape[0] * shape[1];
    const values = normalFloats(count, 100 + i);
    for (let at = 1; at <= step; at++) {
      const update = normalFloats(count, 1000 * at + i, stepSize);
      // A sparse step, as of a training run in bf16: most weights stay.
      for (let k = 0; k < count; k += 3) values[k]! += update[k]!;
    }
    return floatTensor(name, 'BF16', shape, values);
  });
  tensors.push(floatTensor('frozen', 'F32', [40, 40], normalFloats(1600, 7)));
  tensors.push(floatTensor('norm', 'F32', [48], normalFloats(48, 300 + step)));
  // Not in the base, and the same in every version.
  if (step > 0) tensors.push(floatTensor('head', 'F16', [24, 24], normalFloats(576, 9)));
  return { tensors, sideFiles: { 'config.json': `{"step":${step}}\n` } };
}

export interface StoreFixture {
  readonly store: Store;
  readonly folder: string;
  readonly storePath: string;
  /** Writes a model and gives its path. */
  write(name: string, model: Model): Promise<string>;
  /** Commits a model, or a step of the run. */
  commit(model: Model | number, options?: Partial<CommitOptions>): Promise<Committed>;
  /** A version's folder is what was committed, byte for byte. */
  expectCheckout(ref: string, path: string): Promise<void>;
}

export interface Committed extends CommitReport {
  readonly path: string;
  readonly id: CommitReport['version']['id'];
}

/** Runs `use` with a store in an empty folder, without a base. */
export async function withEmptyStore(use: (fixture: StoreFixture) => Promise<void>): Promise<void> {
  await withTempFolder(async (folder) => {
    const storePath = join(folder, 'store');
    const store = await initStore(storePath);
    try {
      await use(fixtureOf(store, folder, storePath));
    } finally {
      await store.close();
    }
  });
}

/** Runs `use` with a store whose base "tiny" is step 0 of the run. */
export async function withStore(
  use: (fixture: StoreFixture) => Promise<void>,
  options: AddBaseOptions = {},
): Promise<void> {
  await withEmptyStore(async (fixture) => {
    await fixture.store.addBase('tiny', await fixture.write('base', runModel(0)), { threads: 1, ...options });
    await use(fixture);
  });
}

export function fixtureOf(store: Store, folder: string, storePath: string): StoreFixture {
  let count = 0;
  const write = async (name: string, model: Model): Promise<string> => {
    const path = join(folder, name);
    await writeModel(path, model);
    return path;
  };
  return {
    store,
    folder,
    storePath,
    write,
    async commit(model, options = {}) {
      const name = typeof model === 'number' ? `step ${model}` : `model ${count}`;
      count++;
      const path = await write(`${count} ${name}`, typeof model === 'number' ? runModel(model) : model);
      const report = await store.commit(path, { ...QUICK, message: name, ...options });
      return { ...report, path, id: report.version.id };
    },
    async expectCheckout(ref, path) {
      const output = join(folder, `checkout ${count++}`);
      await store.checkout(ref, { output, threads: 1 });
      await expectSameFolder(output, path);
    },
  };
}

export async function expectSameFolder(found: string, expected: string): Promise<void> {
  const paths = await listTree(expected);
  expect(await listTree(found)).toEqual(paths);
  for (const path of paths) {
    const [bytes, wanted] = await Promise.all([readFile(join(found, path)), readFile(join(expected, path))]);
    expect(bytes.equals(wanted), `${path} as it was`).toBe(true);
  }
}

/** Every value of a store but caches and what is unfinished, by path, with its bytes. */
export async function storeFiles(storePath: string): Promise<Map<string, string>> {
  const paths = (await listTree(storePath)).filter((path) => !/^(cache|tmp|locks)\/|\/$/.test(path));
  return new Map(
    await Promise.all(
      paths.map(async (path) => [path, (await readFile(join(storePath, path))).toString('hex')] as const),
    ),
  );
}

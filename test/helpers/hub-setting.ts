/** A pair of models, the base of it on a double of the Hub, and options that keep everything in a temporary folder. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { HubOptions } from '../../src/hub/api.js';
import { type HubDouble, startHubDouble, TOKEN } from './hub-double.js';
import { type Model, matrixPair, writeModel } from './models.js';
import { listTree, withTempFolder } from './temp-folder.js';

export const BASE = 'org/base';

export interface HubSetting {
  readonly hub: HubDouble;
  /** Everything is in it. */
  readonly folder: string;
  /** Paths of the pair. */
  readonly base: string;
  readonly tuned: string;
  /** Cache of the Hub that the options name. */
  readonly cache: string;
  /** Commit of the base. */
  readonly commit: string;
  readonly options: HubOptions;
}

const pairs = [
  matrixPair('model.layers.0.weight', [64, 48], 1),
  matrixPair('model.layers.1.weight', [64, 48], 2),
  matrixPair('head.weight', [80, 48], 3),
];
const TOKENIZER = '{"version":"1.0"}';

const base: Model = {
  tensors: pairs.map(({ base }) => base),
  sideFiles: { 'config.json': '{"layers":2}', 'tokenizer.json': TOKENIZER },
};
const tuned: Model = {
  tensors: pairs.map(({ fineTuned }) => fineTuned),
  sideFiles: {
    'config.json': '{"layers":2,"tuned":true}',
    'tokenizer.json': TOKENIZER,
    'README.md': '---\nlicense: mit\ntags:\n- code\nbase_model: x/y\n---\nWhat it is for.\n',
  },
};

/** @param shards names by shard of the base; default: one file */
export async function withHub(
  use: (setting: HubSetting) => Promise<void>,
  shards?: Model['shards'],
): Promise<void> {
  const hub = await startHubDouble();
  try {
    await withTempFolder(async (folder) => {
      const paths = { base: join(folder, 'base'), tuned: join(folder, 'tuned') };
      await writeModel(paths.base, { ...base, ...(shards && { shards }) });
      await writeModel(paths.tuned, tuned);
      const commit = hub.addFiles(BASE, await filesOf(paths.base));
      const home = join(folder, 'hf');
      const options: HubOptions = {
        environment: { HF_ENDPOINT: hub.url, HF_HOME: home, HF_TOKEN: TOKEN },
        retries: { attempts: 4, pauseMs: 1 },
      };
      await use({ hub, folder, ...paths, cache: join(home, 'hub'), commit, options });
    });
  } finally {
    await hub.close();
  }
}

/** Every file of a folder by its relative path. */
export async function filesOf(folder: string): Promise<Record<string, Uint8Array>> {
  const paths = await listTree(folder);
  const entries = paths.map(
    async (path) => [path, new Uint8Array(await readFile(join(folder, path)))] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}

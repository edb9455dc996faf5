/** A server over models in a temporary folder, on a free port of this machine, and looks at what it counts and logs. */
import { cp, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect } from 'vitest';
import type { LogRecord, ServeOptions, Serving } from '../../src/serve/api.js';
import { serve } from '../../src/serve/serve.js';
import { type Answered, type AskOptions, ask } from './raw-http.js';
import { type ServedModels, writeServedModels } from './served-models.js';
import { listTree, withTempFolder } from './temp-folder.js';

/** A token as clients of the Hub want it. */
export const TOKEN = 'hf_0123456789abcdefghij';

export interface ServeSetting {
  readonly serving: Serving;
  readonly url: string;
  readonly cacheFolder: string;
  /** Everything that was logged. */
  readonly logs: readonly LogRecord[];
  ask(path: string, options?: AskOptions): Promise<Answered>;
  /** Value of a metric without labels; asks for it, so it counts a request itself. */
  metric(name: string): Promise<number>;
}

/** A server for all tests of a file, with its cache in a folder of its own. */
export function sharedServe(options: () => ServeOptions): { readonly now: ServeSetting } {
  let cacheFolder: string;
  let setting: ServeSetting | undefined;
  beforeAll(async () => {
    cacheFolder = await mkdtemp(join(tmpdir(), 'ere-test-'));
    setting = await startServing(cacheFolder, options());
  });
  afterAll(async () => {
    await setting?.serving.close();
    await rm(cacheFolder, { recursive: true, force: true });
  });
  return {
    get now() {
      return setting!;
    },
  };
}

/** Runs `use` with a server whose cache is in a folder of its own, and checks that nothing of it is left. */
export async function withServe(
  options: ServeOptions,
  use: (setting: ServeSetting) => Promise<void>,
): Promise<void> {
  await withTempFolder(async (cacheFolder) => {
    const setting = await startServing(cacheFolder, options);
    try {
      await use(setting);
    } finally {
      await setting.serving.close();
    }
    expect(await listTree(cacheFolder), 'left in the cache').toEqual([]);
  });
}

async function startServing(cacheFolder: string, options: ServeOptions): Promise<ServeSetting> {
  const logs: LogRecord[] = [];
  const onLog = (record: LogRecord): void => void logs.push(record);
  const serving = await serve({ port: 0, threads: 1, cacheFolder, onLog, ...options });
  const { url } = serving;
  return {
    serving,
    url,
    cacheFolder,
    logs,
    ask: (path, asked) => ask(url, path, asked),
    metric: (name) => metricAt(url, name, options.tokens?.[0]),
  };
}

async function metricAt(url: string, name: string, token: string | undefined): Promise<number> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const { body } = await ask(url, '/metrics', { headers });
  const value = new RegExp(`^${name} (\\S+)$`, 'm').exec(body.toString())?.[1];
  if (value === undefined) throw new Error(`no metric ${name} in ${body}`);
  return Number(value);
}

/** Models that are made once for the tests of a file, and removed after them. Nothing may change them. */
export function sharedModels(): { readonly now: ServedModels } {
  let folder: string;
  let models: ServedModels | undefined;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ere-test-'));
    models = await writeServedModels(folder);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return {
    get now() {
      return models!;
    },
  };
}

/**
 * As `sharedModels`, for tests that change them: each gets them as they were made, at the path at which they were made.
 */
export function restoredModels(): (
  use: (models: ServedModels, folder: string) => Promise<void>,
) => Promise<void> {
  let folder: string;
  let models: ServedModels;
  const paths = () => [join(folder, 'kept'), join(folder, 'used')] as const;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ere-test-'));
    const [kept, used] = paths();
    models = await writeServedModels(used);
    await rename(used, kept);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return async (use) => {
    const [kept, used] = paths();
    await cp(kept, used, { recursive: true });
    try {
      await use(models, used);
    } finally {
      await rm(used, { recursive: true, force: true });
    }
  };
}

/** Waits until something is so, and fails when it is not within some seconds. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 8000;
  while (!(await isSo())) {
    if (performance.now() > deadline) expect.fail(`waited in vain: ${what}`);
    await pause(10);
  }
}

/** Path of a file behind the server's address, as clients encode it. */
export function resolvePath(model: string, revision: string, path: string, word = 'resolve'): string {
  const encoded = path.split('/').map(encodeURIComponent).join('/');
  return `/${model}/${word}/${encodeURIComponent(revision)}/${encoded}`;
}

/**
 * `npm run test:interop`: what Python's huggingface_hub downloads from `ere serve` is what was committed, and what it asks
 * besides is answered as it expects. Needs a Python that has the package (`pip install huggingface_hub`): PYTHON names it,
 * else it is python3. Without one it says so and passes.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { serve } from '../../src/serve/serve.js';
import { PROJECT_ROOT } from '../helpers/project.js';
import { type ExpectedVersion, type Files, writeServedModels } from '../helpers/served-models.js';
import { withTempFolder } from '../helpers/temp-folder.js';

const run = promisify(execFile);
const python = process.env.PYTHON ?? 'python3';
const TOKEN = 'hf_0123456789abcdefghij';
const MAX_OUTPUT = 1 << 24;

/** What hub_client.py prints. */
interface Seen {
  readonly version: string;
  readonly downloads: readonly {
    readonly model: string;
    readonly revision: string;
    readonly commit: string;
    readonly sha: string;
    readonly files: Readonly<Record<string, string>>;
    readonly large: Readonly<Record<string, string>>;
    readonly sizes: Readonly<Record<string, number>>;
    readonly tree: readonly string[];
  }[];
  readonly models: readonly string[];
  readonly branches: readonly string[];
  readonly tags: readonly string[];
  readonly commits: readonly string[];
  readonly paths: readonly string[];
  readonly errors: readonly string[];
}

const missing = await run(python, ['-c', 'import huggingface_hub']).then(
  () => undefined,
  (error: Error) => error.message.trim().split('\n').at(-1),
);
if (missing === undefined) await withTempFolder(compare);
else process.stdout.write(`huggingface_hub: not run, as ${python} does not have it (${missing})\n`);

async function compare(folder: string): Promise<void> {
  const models = await writeServedModels(folder);
  const { chat } = models;
  const wanted: [model: string, revision: string, expected: ExpectedVersion][] = [
    ['chat', 'main', chat[2]!],
    ['chat', 'v1.0', chat[0]!],
    ['chat', 'release/v2', chat[1]!],
    ['chat', chat[1]!.commit!, chat[1]!],
    ...[...models.models].map(
      ([name, version]) => [name, 'main', version] as [string, string, ExpectedVersion],
    ),
  ];
  const cacheFolder = join(folder, 'cache');
  const store = await see({ store: models.storePath, cacheFolder }, wanted, join(folder, 'hf'));
  assert.deepEqual(store.models, [...models.models.keys()].sort());
  assert.deepEqual([store.branches, store.tags], [['main'], ['release/v2', 'v1.0']]);
  assert.deepEqual(store.commits, chat.map(({ commit }) => commit).reverse());
  const archived = [...models.archived].map(
    ([name, version]) => [name, 'main', version] as [string, string, ExpectedVersion],
  );
  const options = { archives: models.archives, bases: [models.base], cacheFolder };
  await see(options, archived, join(folder, 'hf-archives'));
  process.stdout.write(
    `huggingface_hub ${store.version}: ${wanted.length + archived.length} downloads are what was committed\n`,
  );
}

/** Serves, lets the client look at it, and compares what it downloaded. */
async function see(
  options: Parameters<typeof serve>[0],
  wanted: readonly [model: string, revision: string, expected: ExpectedVersion][],
  home: string,
): Promise<Seen> {
  const serving = await serve({ ...options, port: 0, tokens: [TOKEN] });
  try {
    const argv = [join(PROJECT_ROOT, 'test/interop/hub_client.py')];
    for (const [model, revision] of wanted) argv.push(model, revision);
    const env = {
      ...process.env,
      HF_ENDPOINT: serving.url,
      HF_HOME: home,
      HF_TOKEN: TOKEN,
      HF_HUB_DISABLE_TELEMETRY: '1',
      HF_HUB_DISABLE_PROGRESS_BARS: '1',
    };
    const { stdout } = await run(python, argv, { env, maxBuffer: MAX_OUTPUT });
    const seen = JSON.parse(stdout) as Seen;
    for (const [i, [model, revision, { commit, files }]] of wanted.entries()) {
      const found = seen.downloads[i]!;
      const what = `${model} at ${revision}`;
      assert.deepEqual(found.files, digestsOf(files), what);
      assert.deepEqual(
        found.tree.filter((path) => files.has(path)),
        [...files.keys()].sort(),
        what,
      );
      for (const [path, bytes] of files)
        assert.equal(found.sizes[path], bytes.byteLength, `${what}, ${path}`);
      for (const [path, digest] of Object.entries(found.large))
        assert.equal(digest, found.files[path], `${what}, ${path}`);
      assert.equal(found.commit, found.sha, what);
      if (commit !== undefined) assert.equal(found.commit, commit, what);
    }
    assert.deepEqual(seen.paths, ['config.json']);
    assert.deepEqual(seen.errors, [
      'RemoteEntryNotFoundError',
      'RevisionNotFoundError',
      'RepositoryNotFoundError',
    ]);
    return seen;
  } finally {
    await serving.close();
  }
}

function digestsOf(files: Files): Record<string, string> {
  return Object.fromEntries(
    [...files].map(([path, bytes]) => [path, createHash('sha256').update(bytes).digest('hex')]),
  );
}

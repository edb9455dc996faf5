/** What docs/guide/store.md tells people to type works as it is written there, on small models. */
import { readFileSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadOperations } from '../../cli/context.js';
import { matrixPair, writeModel } from '../helpers/models.js';
import { PROJECT_ROOT } from '../helpers/project.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { runWith } from './doubles.js';

const GUIDE = readFileSync(join(PROJECT_ROOT, 'docs/guide/store.md'), 'utf8');

/** Arguments of the commands in a marked block, after `$ ere`. */
function commandsOf(name: string): string[][] {
  const block = new RegExp(`<!-- ${name} -->([^]*?)<!-- /${name} -->`).exec(GUIDE);
  expect(block, `a block "${name}" in the guide`).not.toBeNull();
  return [...block![1]!.matchAll(/^\$ ere (.*)$/gm)].map(([, line]) =>
    [...line!.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!),
  );
}

const workingFolder = process.cwd();
let inFolder: (use: () => Promise<void>) => Promise<void>;
beforeEach(() => {
  inFolder = (use) =>
    withTempFolder(async (folder) => {
      process.chdir(folder);
      try {
        await use();
      } finally {
        process.chdir(workingFolder);
      }
    });
});
afterEach(() => process.chdir(workingFolder));

/** Commands that begin threads, which small models do not pay for. */
const CODING = new Set(['commit', 'checkout', 'export', 'gc']);

/** Runs the commands of a block one after the other; what each printed. */
async function runBlock(name: string): Promise<string[]> {
  const printed: string[] = [];
  for (const argv of commandsOf(name)) {
    const quick = CODING.has(argv[0]!) ? [...argv, '--threads', '1'] : argv;
    const { status, stdout, stderr } = await runWith(quick, await loadOperations());
    expect([argv.join(' '), status, stderr]).toEqual([argv.join(' '), 0, expect.any(String)]);
    printed.push(stdout);
  }
  return printed;
}

/** A base at `base`, and fine-tunes of it at `paths`, each its own. */
async function writeModels(base: string, paths: readonly string[]): Promise<void> {
  for (const [i, path] of paths.entries()) {
    const strength = 0.01 * (i + 1);
    const pairs = [0, 1].map((layer) =>
      matrixPair(`layers.${layer}.weight`, [64, 48], 7 + layer, { dtype: 'BF16', strength }),
    );
    const sideFiles = { 'config.json': `{"run": ${i}}\n` };
    await writeModel(path, { tensors: pairs.map(({ fineTuned }) => fineTuned), sideFiles });
    await writeModel(base, { tensors: pairs.map((pair) => pair.base), sideFiles });
  }
}

test('ten fine-tunes of one base, and what to do with them', async () => {
  await inFolder(async () => {
    await writeModels('tinylm', ['tunes/python', 'tunes/early', 'tunes/late']);
    expect((await runBlock('tunes')).join('')).toContain('trained on');
    expect((await runBlock('use')).join('')).toContain('rebuilt: late ');
  });
});

test('every checkpoint of a training run', async () => {
  await inFolder(async () => {
    const steps = ['000', '020', '040', '060'].map((step) => `step-${step}`);
    await writeModels('base', steps);
    await mkdir('run');
    for (const step of steps) await rename(join(step, 'model.safetensors'), `run/${step}.safetensors`);
    expect((await runBlock('run')).join('')).toContain('step 60');
  });
});

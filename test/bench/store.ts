/**
 * `npm run bench:store -- --models DIR [--rounds 5] [--versions 1000] [--out docs]`: what a store takes of a training
 * run, what its chains cost to decode, and how long log, show and stats take on many versions, against what has to be
 * reached. DIR holds base/ and run/, the checkpoints of the run in the order of their names. Markdown on stdout; with
 * --out it replaces the part of FOLDER/benchmarks.md between the marks.
 */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { replaceBetweenMarks } from './compression/markdown.js';
import { timed } from './machine.js';
import { measureManyVersions } from './store/many-versions.js';
import { renderStore, STORE_MARKS } from './store/markdown.js';
import { measureCheckouts } from './store/measure-checkouts.js';
import { commitRun, measureDrift, type TrainingRun } from './store/measure-run.js';

const { values } = parseArgs({
  options: {
    models: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    versions: { type: 'string', default: '1000' },
    out: { type: 'string' },
  },
});
if (values.models === undefined) throw new TypeError('expected --models DIR, with base/ and run/');
const rounds = Number(values.rounds);
const versionCount = Number(values.versions);
for (const count of [rounds, versionCount]) {
  if (!(Number.isInteger(count) && count >= 1)) throw new TypeError(`expected a whole number, got ${count}`);
}
const runFolder = join(values.models, 'run');
const run: TrainingRun = {
  base: join(values.models, 'base'),
  checkpoints: (await readdir(runFolder))
    .filter((name) => name.endsWith('.safetensors'))
    .sort()
    .map((name) => join(runFolder, name)),
};

const folder = await mkdtemp(join(tmpdir(), 'ere-bench-'));
try {
  const lossless = await timed('lossless', () => commitRun(run, join(folder, 'lossless'), {}));
  const checkouts = await timed('checkouts', () => measureCheckouts(run, lossless, { folder, rounds }));
  const drift = await timed('lossy', () => measureDrift(run, folder));
  const manyVersions = await timed('many versions', () => measureManyVersions(folder, versionCount));
  const document = renderStore({ machine: machine(), lossless, checkouts, drift, manyVersions });
  if (values.out === undefined) process.stdout.write(document);
  else {
    const path = join(values.out, 'benchmarks.md');
    await writeFile(path, replaceBetweenMarks(await readFile(path, 'utf8'), document, STORE_MARKS));
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** In general words: results are committed. */
function machine(): string {
  const cores = `${availableParallelism()} cores of ${cpus()[0]?.model.trim() ?? 'an unknown CPU'}`;
  return `${cores}, Node ${process.versions.node}, \`npm run bench:store -- --models DIR --rounds ${rounds} --out docs\`.`;
}

/**
 * `npm run bench:scale -- [--params 1B,7B] [--models DIR] [--rounds 5] [--ballast SIZE] [--out docs] [--quick]`: encoding
 * and decoding models of sizes that people have, against what the hardware allows and what has to be reached. Pairs are generated
 * in a temporary folder, or taken from DIR/1b, DIR/7b, … as `npm run make:checkpoint` made them; a size that the disk
 * has no room for is left out. Markdown on stdout; with --out it replaces the part of FOLDER/benchmarks.md between the
 * marks, after every size. A quick run takes a tiny pair, which is to be looked at and not to be kept.
 *
 * `cp` and decoding are compared in one state of memory (scale/steady-memory.ts): a process holds --ballast bytes, by
 * default what is free but for five times the weights and 2 GiB, and earlier copies fill the page cache. That takes
 * seven copies of the weights on the disk, no rights, and half a minute to set up. --ballast 0, a disk without that room
 * and models that fill the memory anyway are measured in memory as it is. Nothing else should run, or take memory.
 */
import { access, mkdtemp, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { exitCodeOf, exitStatus } from '../../cli/exit-codes.js';
import { interruptSignal } from '../../cli/signals.js';
import { parseByteLength } from '../../cli/values.js';
import { formatByteLength, formatDuration } from '../../src/report/numbers.js';
import { replaceBetweenMarks } from './compression/markdown.js';
import { makeCheckpoint } from './make-checkpoint/make-checkpoint.js';
import { parseParameterCount } from './make-checkpoint/model-shape.js';
import { renderScale, SCALE_MARKS } from './scale/markdown.js';
import {
  binMs,
  type MeasureOptions,
  type ModelFigures,
  type ModelPair,
  measureModel,
  processMs,
} from './scale/measure-model.js';

const { values } = parseArgs({
  options: {
    params: { type: 'string' },
    models: { type: 'string' },
    rounds: { type: 'string' },
    ballast: { type: 'string' },
    out: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
});
const isQuick = values.quick;
if (isQuick && values.out !== undefined) throw new TypeError('expected no --out with --quick');
const labels = (values.params ?? (isQuick ? '2M' : '1B,7B')).toUpperCase().split(',');
labels.sort((x, y) => parseParameterCount(x) - parseParameterCount(y));
const rounds = Number(values.rounds ?? (isQuick ? 1 : 5));
if (!(Number.isInteger(rounds) && rounds >= 1)) {
  throw new TypeError(`expected --rounds of at least 1, got ${values.rounds}`);
}

const ballast = values.ballast ?? (isQuick ? '0' : undefined);
const ballastByteLength = ballast === undefined ? undefined : ballast === '0' ? 0 : parseByteLength(ballast);

// Beside the models: what decoding writes is compared with copies of them on the same disk.
const folder = await mkdtemp(join(values.models ?? tmpdir(), 'ere-scale-'));
const signal = interruptSignal(process);
const options: Omit<MeasureOptions, 'diskByteLength'> = {
  folder,
  rounds,
  shortRounds: isQuick ? 1 : 9,
  peakMs: isQuick ? 10 : 500,
  ballastByteLength,
  signal,
  tell: (what, durationMs) => {
    process.stderr.write(`${what}: ${formatDuration(durationMs)}\n`);
  },
};
try {
  const startUp = { bareMs: await processMs(['-e', '0'], options), helpMs: await binMs(['--help'], options) };
  const models: ModelFigures[] = [];
  const notes: string[] = [];
  let document = '';
  for (const label of labels) {
    const missing = await withPair(label, async (pair) => {
      models.push(await measureModel(pair, { ...options, diskByteLength: await freeDisk() }));
    });
    if (missing !== undefined) notes.push(missing);
    document = renderScale({ machine: machine(), notes, models, startUp });
    if (values.out !== undefined) await writeResults(values.out, document);
  }
  if (values.out === undefined) process.stdout.write(document);
} catch (error) {
  if (!signal.aborted) throw error;
  process.exitCode = exitStatus(exitCodeOf(error, signal.reason));
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** Runs `use` with a pair, which is removed afterwards if it was made for it. Says why where there is no room. */
async function withPair(label: string, use: (pair: ModelPair) => Promise<void>): Promise<string | undefined> {
  const found = values.models === undefined ? undefined : join(values.models, label.toLowerCase());
  const isThere = found !== undefined && (await exists(found));
  const byteLength = 2 * parseParameterCount(label);
  // One copy or decoded model at a time, archives and what is unfinished of them, and the pair.
  const needed = byteLength * (1.25 + (isThere ? 0 : 2));
  const free = await freeDisk();
  if (free < needed) {
    return `${label} was not measured: it takes ${formatByteLength(needed)} on a disk with ${formatByteLength(free)} free.`;
  }
  const path = isThere ? found : join(folder, label.toLowerCase());
  const started = performance.now();
  if (!isThere) {
    await makeCheckpoint({ parameterCount: parseParameterCount(label), output: path, signal });
    options.tell(`${label}: make`, performance.now() - started);
  }
  try {
    await use({ label, base: join(path, 'base'), fineTuned: join(path, 'fine-tuned') });
  } finally {
    if (!isThere) await rm(path, { recursive: true, force: true });
  }
  return undefined;
}

async function freeDisk(): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** In general words: results are committed. */
function machine(): string {
  const cores = `${availableParallelism()} cores of ${cpus()[0]?.model.trim() ?? 'an unknown CPU'}`;
  const memory = `${(totalmem() / 2 ** 30).toFixed(0)} GiB of memory`;
  return `${cores}, ${memory}, Node ${process.versions.node}, \`npm run bench:scale -- --params ${labels.join()} --rounds ${rounds}${values.ballast === undefined ? '' : ` --ballast ${values.ballast}`} --out docs\`.`;
}

async function writeResults(out: string, document: string): Promise<void> {
  const path = join(out, 'benchmarks.md');
  await writeFile(path, replaceBetweenMarks(await readFile(path, 'utf8'), document, SCALE_MARKS));
}

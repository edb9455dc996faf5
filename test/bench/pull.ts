/**
 * `npm run bench:pull -- [--params 125M | --base DIR --archives A.ere,B.ere] [--rate 25MB] [--rounds 3] [--before BIN]`:
 * `ere pull` of an archive over a line of a given rate, from a double of the Hub, with the base at hand and an empty
 * cache, beside what it waits for: the download alone, and the decode alone. Archives are made of a generated pair
 * (lossless, and 6 % of its bytes) unless they are given. --before is the `cli/bin.js` of another build, measured in the
 * same rounds; without it download and decode one after the other stand for it.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { encode } from '../../src/index.js';
import { formatByteLength } from '../../src/report/numbers.js';
import { type HubDouble, type HubPace, startHubDouble, TOKEN } from '../helpers/hub-double.js';
import { BIN, spawnNodeWith } from '../helpers/project.js';
import { machineText } from './machine.js';
import { makeCheckpoint } from './make-checkpoint/make-checkpoint.js';
import { parseParameterCount } from './make-checkpoint/model-shape.js';

const REPO = 'user/tuned';
const PIECES_PER_SECOND = 50;

const { values } = parseArgs({
  options: {
    params: { type: 'string', default: '125M' },
    base: { type: 'string' },
    archives: { type: 'string' },
    rate: { type: 'string', default: '25MB' },
    rounds: { type: 'string', default: '3' },
    before: { type: 'string' },
  },
});
const bytesPerSecond = 1e6 * Number(/^(\d+(?:\.\d+)?)MB$/.exec(values.rate)?.[1]);
if (!(bytesPerSecond > 0)) throw new RangeError(`expected --rate like 25MB, got ${values.rate}`);
const rounds = Number(values.rounds);
if (!(Number.isInteger(rounds) && rounds >= 1))
  throw new RangeError(`expected a number of rounds, got ${values.rounds}`);

/** A line that carries so much, from the beginning of every answer on. */
function paced(): HubPace {
  const pieceByteLength = Math.ceil(bytesPerSecond / PIECES_PER_SECOND);
  let startedMs = 0;
  return {
    pieceByteLength,
    before: async ({ offset, byteLength }) => {
      if (offset === 0) startedMs = performance.now();
      const dueMs = startedMs + (1000 * (offset + byteLength)) / bytesPerSecond;
      await sleep(Math.max(0, dueMs - performance.now()));
    },
  };
}

/** Seconds of a run of node in a folder. */
async function seconds(
  folder: string,
  argv: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<number> {
  const startedMs = performance.now();
  const { status, stderr } = await spawnNodeWith(environment, folder, ...argv);
  if (status !== 0) throw new Error(`${argv.join(' ')}: status ${status}\n${stderr}`);
  return (performance.now() - startedMs) / 1000;
}

async function downloadSeconds(hub: HubDouble): Promise<number> {
  const startedMs = performance.now();
  const headers = { authorization: `Bearer ${TOKEN}` };
  const answer = await fetch(`${hub.url}/${REPO}/resolve/main/model.ere`, { headers });
  for await (const _ of answer.body as unknown as AsyncIterable<Uint8Array>);
  return (performance.now() - startedMs) / 1000;
}

async function decodeSeconds(folder: string, base: string, path: string): Promise<number> {
  const duration = await seconds(folder, [BIN, 'decode', base, path, '-o', join(folder, 'out')]);
  await rm(join(folder, 'out'), { recursive: true });
  return duration;
}

async function pullSeconds(hub: HubDouble, folder: string, base: string, bin: string): Promise<number> {
  const home = join(folder, 'hf');
  const environment = { HF_ENDPOINT: hub.url, HF_HOME: home, HF_TOKEN: TOKEN };
  const argv = [bin, 'pull', REPO, '--base', base, '-o', join(folder, 'out')];
  const duration = await seconds(folder, argv, environment);
  await rm(home, { recursive: true });
  await rm(join(folder, 'out'), { recursive: true });
  return duration;
}

function median(all: readonly number[]): number {
  const sorted = [...all].sort((x, y) => x - y);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

async function measure(folder: string, base: string, path: string): Promise<void> {
  const bytes = new Uint8Array(await readFile(path));
  const hub = await startHubDouble();
  hub.addFiles(REPO, { 'model.ere': bytes });
  hub.pace = paced();
  const times = { download: [], decode: [], pull: [], before: [] } as Record<string, number[]>;
  try {
    for (let round = 0; round < rounds; round++) {
      times.download!.push(await downloadSeconds(hub));
      times.decode!.push(await decodeSeconds(folder, base, path));
      times.pull!.push(await pullSeconds(hub, folder, base, BIN));
      if (values.before !== undefined)
        times.before!.push(await pullSeconds(hub, folder, base, values.before));
    }
  } finally {
    await hub.close();
  }
  const [download, decode, pull] = [times.download!, times.decode!, times.pull!].map(median) as [
    number,
    number,
    number,
  ];
  const before = values.before === undefined ? download + decode : median(times.before!);
  const cells = [
    `${basename(path)}, ${formatByteLength(bytes.byteLength)}`,
    ...[download, decode, before, pull].map((value) => value.toFixed(1)),
    (pull / before).toFixed(2),
    (pull / Math.max(download, decode)).toFixed(2),
  ];
  console.log(`| ${cells.join(' | ')} |`);
}

const folder = await mkdtemp(join(tmpdir(), 'ere-pull-'));
try {
  let base = values.base;
  let archives = values.archives?.split(',');
  if (base === undefined || archives === undefined) {
    const models = join(folder, 'models');
    await makeCheckpoint({ parameterCount: parseParameterCount(values.params), output: models });
    base = join(models, 'base');
    archives = [];
    for (const [name, options] of [
      ['lossless', { lossless: true }],
      ['6-percent', { budget: { kind: 'ratio', ratio: 0.06 } }],
    ] as const) {
      const output = join(folder, `${name}.ere`);
      await encode(join(models, 'fine-tuned'), { base, output, ...options });
      archives.push(output);
    }
  }
  console.log(`${machineText()}, ${formatByteLength(bytesPerSecond)}/s, ${rounds} rounds\n`);
  console.log(
    '| archive | download s | decode s | one after the other s | pull s | over that | over the longer of both |',
  );
  console.log('|---|--:|--:|--:|--:|--:|--:|');
  for (const path of archives) await measure(folder, base, path);
} finally {
  await rm(folder, { recursive: true });
}

/**
 * What a start of `ere` costs: `--help`, `inspect` on archives with the index of a 7 B model, and `log`, `show` and
 * `stats` of a store of a thousand versions, each beside a bare `node -e 0`, one after another in every round, so that a busy machine slows all of them alike.
 * `npm run bench:startup [-- ROUNDS]`, by default 15 rounds, a few seconds.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { writeManyVersions } from '../helpers/many-versions.js';
import { BIN } from '../helpers/project.js';
import { writeSevenBillionArchive } from '../helpers/seven-billion-archive.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { machineText } from './machine.js';

const rounds = Number(process.argv[2] ?? 15);
if (!(Number.isInteger(rounds) && rounds >= 1))
  throw new RangeError(`expected a number of rounds, got ${process.argv[2]}`);

/** Wall-clock time of a run of node with these arguments, in ms. */
function runMs(argv: readonly string[]): number {
  const started = performance.now();
  const { status, stderr } = spawnSync(process.execPath, argv, {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (status !== 0) throw new Error(`node ${argv.join(' ')}: status ${status}\n${stderr}`);
  return performance.now() - started;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((x, y) => x - y);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

await withTempFolder(async (folder) => {
  const [lossy, exact] = [join(folder, 'lossy.ere'), join(folder, 'exact.ere')];
  const layouts = [
    await writeSevenBillionArchive(lossy),
    await writeSevenBillionArchive(exact, { exactOnTop: true }),
  ];
  const store = join(folder, 'store');
  await writeManyVersions(store, { versions: 1000, models: 10, tensors: 12 });
  const ofStore = (...argv: string[]) => ({
    name: `\`ere ${argv.join(' ')}\` of 1000 versions`,
    argv: [BIN, ...argv, '--store', store],
    targetMs: 300,
  });
  const [small, large] = layouts.map(
    ({ front, index }) =>
      `${index.tensors.length} tensors, ${index.chunks.length} chunks, ${(front.byteLength / 1000).toFixed(0)} kB of index`,
  );
  const cases: { readonly name: string; readonly argv: readonly string[]; readonly targetMs?: number }[] = [
    { name: '`node -e 0`', argv: ['-e', '0'] },
    { name: '`ere --help`', argv: [BIN, '--help'], targetMs: 150 },
    { name: `\`ere inspect\`: ${small}`, argv: [BIN, 'inspect', lossy], targetMs: 200 },
    { name: '`ere inspect --json` of it', argv: [BIN, 'inspect', lossy, '--json'] },
    { name: `\`ere inspect\`, exact on top: ${large}`, argv: [BIN, 'inspect', exact], targetMs: 200 },
    ...[['log'], ['log', '--graph'], ['show', 'model-0'], ['stats']].map((argv) => ofStore(...argv)),
  ];
  const durations = cases.map((): number[] => []);
  for (const { argv } of cases) runMs(argv); // files into the page cache
  for (let round = 0; round < rounds; round++) {
    for (const [i, { argv }] of cases.entries()) durations[i]!.push(runMs(argv));
  }
  console.log(`${machineText()}, ${rounds} rounds\n`);
  console.log('| run | median ms | least ms | median over `node -e 0` | target ms |');
  console.log('|---|--:|--:|--:|--:|');
  for (const [i, { name, targetMs }] of cases.entries()) {
    const times = durations[i]!;
    const ratio = median(times) / median(durations[0]!);
    console.log(
      `| ${name} | ${median(times).toFixed(0)} | ${Math.min(...times).toFixed(0)} | ${ratio.toFixed(2)} | ${targetMs ?? ''} |`,
    );
  }
});

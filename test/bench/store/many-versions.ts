/** log, show and stats on stores of many versions, each a process of its own, with and without the summaries' cache. */
import { spawnSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SUMMARIES_KEY } from '../../../src/store/layout.js';
import { BIN } from '../../helpers/project.js';
import { median } from '../scale/measured-run.js';
import { type GenerateOptions, generateStore } from './generate-store.js';

export interface CommandTimes {
  readonly command: string;
  /** Median from start to end of the process, with the cache of summaries and without. */
  readonly cachedMs: number;
  readonly uncachedMs: number;
}

export interface ManyVersions extends GenerateOptions {
  readonly commands: readonly CommandTimes[];
  /** `node -e 0`. */
  readonly bareMs: number;
}

const RUNS = 9;
const COMMANDS = [['log'], ['show', 'main'], ['stats']] as const;

/** Few tensors of each version are new, and then all of them. */
export async function measureManyVersions(folder: string, versionCount: number): Promise<ManyVersions[]> {
  const measured: ManyVersions[] = [];
  for (const [tensorCount, changedCount] of [
    [60, 2],
    [60, 60],
  ] as const) {
    const options = { versionCount, tensorCount, changedCount };
    const store = join(folder, `${changedCount} of ${tensorCount}`);
    await generateStore(store, options);
    const commands: CommandTimes[] = [];
    for (const command of COMMANDS) {
      const argv = [BIN, ...command, '--store', store];
      const dropCache = () => rm(join(store, SUMMARIES_KEY), { force: true });
      commands.push({
        command: command.join(' '),
        uncachedMs: await medianMs(argv, dropCache),
        cachedMs: await medianMs(argv, async () => {}),
      });
    }
    measured.push({ ...options, commands, bareMs: await medianMs(['-e', '0'], async () => {}) });
    await rm(store, { recursive: true });
  }
  return measured;
}

async function medianMs(argv: readonly string[], before: () => Promise<unknown>): Promise<number> {
  const durations: number[] = [];
  for (let run = 0; run <= RUNS; run++) {
    await before();
    const started = performance.now();
    const { status, stderr } = spawnSync(process.execPath, argv, {
      encoding: 'utf8',
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    if (status !== 0) throw new Error(`node ${argv.join(' ')}: status ${status}\n${stderr}`);
    // The first brings files into the page cache.
    if (run > 0) durations.push(performance.now() - started);
  }
  return median(durations);
}

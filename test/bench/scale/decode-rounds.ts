/** `cp` of the fine-tuned weights and decoding of both archives, one after another in every round. */
import { mkdir } from 'node:fs/promises';
import { warmFiles, weightFiles } from './limits.js';
import { type MeasuredRun, runEre, timedProcess } from './measured-run.js';
import { openSteadyMemory } from './steady-memory.js';

export const DECODE_MEMORY = '2GiB';

export interface CopyRun {
  readonly durationMs: number;
  /** Time that the system worked for it. */
  readonly systemMs: number;
}

export interface DecodeRounds {
  /** One a round, as of the decodings. */
  readonly copies: readonly CopyRun[];
  readonly byDefault: readonly MeasuredRun[];
  readonly lowRank: readonly MeasuredRun[];
  /** Of the process that held memory meanwhile; 0 for none. */
  readonly ballastByteLength: number;
}

export interface DecodeRoundsOptions {
  readonly base: string;
  readonly fineTuned: string;
  /** Archives. */
  readonly byDefault: string;
  readonly lowRank: string;
  readonly folder: string;
  readonly rounds: number;
  /** As of openSteadyMemory. */
  readonly ballastByteLength?: number | undefined;
  readonly diskByteLength: number;
  readonly signal: AbortSignal;
  readonly tell: (what: string, durationMs: number) => void;
}

export async function measureDecodeRounds(options: DecodeRoundsOptions): Promise<DecodeRounds> {
  const { base, fineTuned, folder, rounds, signal, tell } = options;
  const files = await weightFiles(fineTuned);
  const started = performance.now();
  const memory = await openSteadyMemory({ ...options, files });
  tell('steady memory', performance.now() - started);
  const copies: CopyRun[] = [];
  const runs = { byDefault: [] as MeasuredRun[], lowRank: [] as MeasuredRun[] };
  try {
    for (let round = 0; round < rounds; round++) {
      await warmFiles(fineTuned);
      const target = await memory.prepare();
      await mkdir(target);
      const copy = await timedCopy([...files.map(({ path }) => path), target], signal);
      copies.push(copy);
      tell('cp', copy.durationMs);
      for (const kind of ['lowRank', 'byDefault'] as const) {
        await warmFiles(base);
        const output = await memory.prepare();
        const argv = ['decode', base, options[kind], '-o', output, '--memory', DECODE_MEMORY];
        const run = await runEre(argv, { folder, lastPhase: 'finish', signal });
        runs[kind].push(run);
        tell(`decode ${kind === 'lowRank' ? 'low-rank' : 'default'}`, run.durationMs);
      }
    }
    return { ...runs, copies, ballastByteLength: memory.ballastByteLength };
  } finally {
    await memory.close();
  }
}

/** `cp ARGUMENT…` by a shell, which knows what its processes took. */
export async function timedCopy(argv: readonly string[], signal?: AbortSignal): Promise<CopyRun> {
  const { durationMs, stdout } = await timedProcess('sh', ['-c', 'cp "$@" && times', 'cp', ...argv], signal);
  // User and system time of the shell in the first line, of its processes in the second: 0m0.01s 0m0.75s.
  const [, minutes, seconds] = /^\S+ (\d+)m([\d.]+)s\s*$/m.exec(stdout.trim().split('\n')[1] ?? '') ?? [];
  return { durationMs, systemMs: 1000 * (60 * Number(minutes) + Number(seconds)) };
}

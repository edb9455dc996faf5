/** What checking out costs at the end of chains, beside decoding an archive of the same checkpoint against the base. */
import { join } from 'node:path';
import { decode, encode } from '../../../src/index.js';
import { openFolderBackend } from '../../../src/store/backends/file-system.js';
import type { ChainCost } from '../../../src/store/decode-cost.js';
import { openStore } from '../../../src/store/open-store.js';
import { StoreReader } from '../../../src/store/store-reader.js';
import { chainCost } from '../../../src/store/trace-cost.js';
import { type CommittedRun, commitRun, type TrainingRun } from './measure-run.js';

export interface DecodeTime {
  readonly name: string;
  readonly cost: ChainCost;
  /** As the store estimates it; 1 for the archive. */
  readonly decodeCost: number;
  /** Least processor time of all runs, by the number of threads. */
  readonly processorMs: ReadonlyMap<number, number>;
}

export interface Checkouts {
  /** Lossless, of the newest version against the base. */
  readonly direct: DecodeTime;
  /** The newest version of the store that committed with its defaults. */
  readonly newest: DecodeTime;
  /** Versions of a store where each is coded against the one before, the first against the base. */
  readonly chain: readonly DecodeTime[];
}

export const THREADS = [1, 2] as const;

interface Subject {
  readonly name: string;
  readonly cost: ChainCost;
  readonly decodeCost: number;
  run(threads: number, output: string): Promise<unknown>;
}

export async function measureCheckouts(
  run: TrainingRun,
  { storePath }: CommittedRun,
  { folder, rounds }: { readonly folder: string; readonly rounds: number },
): Promise<Checkouts> {
  const chained = await commitRun(run, join(folder, 'chain'), { against: 'base' }, { against: 'main' });
  const archive = join(folder, 'lossless.ere');
  const last = run.checkpoints.at(-1)!;
  const { archiveByteLength } = await encode(last, {
    base: run.base,
    output: archive,
    lossless: true,
    sideFiles: false,
  });
  const newest = await subjectOf(storePath, 'main');
  const { elementCount } = newest.cost;
  const direct: Subject = {
    name: 'decode',
    cost: { elementCount, steppedElementCount: elementCount, chainByteLength: archiveByteLength },
    decodeCost: 1,
    run: (threads, output) => decode(archive, { base: run.base, output, overwrite: true, threads }),
  };
  const chain = [];
  for (let back = run.checkpoints.length - 1; back >= 0; back--) {
    chain.push(await subjectOf(chained.storePath, `main~${back}`));
  }
  const [first, second, ...others] = await timesOf([direct, newest, ...chain], folder, rounds);
  return { direct: first!, newest: second!, chain: others };
}

async function subjectOf(storePath: string, ref: string): Promise<Subject> {
  const reader = new StoreReader(await openFolderBackend(storePath));
  const { manifest } = await reader.resolve(ref);
  const store = await openStore(storePath);
  return {
    name: manifest.message.replace('.safetensors', ''),
    cost: await chainCost(reader, manifest.tensors),
    decodeCost: manifest.decodeCost,
    run: (threads, output) => store.checkout(ref, { output, overwrite: true, threads }),
  };
}

/** All of them one after another in every round, so that what disturbs the machine disturbs all alike. */
async function timesOf(subjects: readonly Subject[], folder: string, rounds: number): Promise<DecodeTime[]> {
  const least = subjects.map(() => new Map<number, number>());
  const output = join(folder, 'decoded.safetensors');
  for (let round = 0; round <= rounds; round++) {
    for (const [i, subject] of subjects.entries()) {
      for (const threads of THREADS) {
        const before = process.cpuUsage();
        await subject.run(threads, output);
        const { user, system } = process.cpuUsage(before);
        const times = least[i]!;
        // The first round is for V8 and the page cache.
        if (round > 0) {
          times.set(
            threads,
            Math.min(times.get(threads) ?? Number.POSITIVE_INFINITY, (user + system) / 1000),
          );
        }
      }
    }
  }
  return subjects.map(({ name, cost, decodeCost }, i) => ({
    name,
    cost,
    decodeCost,
    processorMs: least[i]!,
  }));
}

/** A training run in a store: bytes of it, and how far its last version drifts when every version is lossy. */
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { diff, encode } from '../../../src/index.js';
import type { CommitOptions, CommitReport, ReferenceCandidate } from '../../../src/store/api.js';
import { initStore, openStore } from '../../../src/store/open-store.js';

export interface TrainingRun {
  readonly base: string;
  /** In the order of training. */
  readonly checkpoints: readonly string[];
}

export interface CommittedCheckpoint {
  readonly name: string;
  /** Of its file. */
  readonly byteLength: number;
  readonly report: CommitReport;
  readonly reference: string;
  readonly candidates: readonly ReferenceCandidate[];
}

export interface CommittedRun {
  readonly storePath: string;
  readonly checkpoints: readonly CommittedCheckpoint[];
  /** Every file of the store but caches. */
  readonly storedByteLength: number;
}

/** Commits a run in order on top of its base. @param first options of the first version, which others inherit */
export async function commitRun(
  run: TrainingRun,
  storePath: string,
  first: Partial<CommitOptions>,
  others: Partial<CommitOptions> = {},
): Promise<CommittedRun> {
  const store = await initStore(storePath);
  try {
    await store.addBase('base', run.base);
    const checkpoints: CommittedCheckpoint[] = [];
    for (const path of run.checkpoints) {
      let reference = '';
      const report = await store.commit(path, {
        message: basename(path),
        ...(checkpoints.length === 0 ? first : others),
        onEvent: (event) => {
          if (event.kind === 'reference-chosen') reference = event.reference;
        },
      });
      const known = checkpoints.find(({ report: { version } }) => version.id.slice(7).startsWith(reference));
      checkpoints.push({
        name: basename(path, '.safetensors'),
        byteLength: (await stat(path)).size,
        report,
        reference: known?.name ?? reference,
        candidates: report.candidates,
      });
    }
    return { storePath, checkpoints, storedByteLength: await storedBytes(storePath) };
  } finally {
    await store.close();
  }
}

/** Bytes of every file under a store's folder but caches. */
export async function storedBytes(storePath: string): Promise<number> {
  let sum = 0;
  for (const entry of await readdir(storePath, { withFileTypes: true })) {
    const path = join(storePath, entry.name);
    if (entry.isFile()) sum += (await stat(path)).size;
    else if (entry.name !== 'cache') sum += await storedBytes(path);
  }
  return sum;
}

export interface Drift {
  readonly step: number;
  readonly checkpoints: readonly CommittedCheckpoint[];
  readonly storedByteLength: number;
  /** Of the last version as it is checked out, relative to its residual against the base. */
  readonly chainError: number;
  /** Of the same checkpoint coded against the base at the same step. */
  readonly directError: number;
  /** Share of the weights that coding it so takes. */
  readonly directRatio: number;
}

const LOSSY_RATIO = 0.06;

/** The run with the first version at 6 % of the weights, and the others at the step that it came to. */
export async function measureDrift(run: TrainingRun, folder: string): Promise<Drift> {
  const budget = { kind: 'ratio', ratio: LOSSY_RATIO } as const;
  const committed = await commitRun(run, join(folder, 'lossy'), { budget });
  const last = run.checkpoints.at(-1)!;
  const store = await openStore(committed.storePath);
  try {
    const step = Number((await store.show('main')).encoding.step);
    const output = join(folder, 'lossy.safetensors');
    await store.checkout('main', { output, overwrite: true });
    const archive = join(folder, 'direct.ere');
    const direct = await encode(last, {
      base: run.base,
      output: archive,
      overwrite: true,
      budget: { kind: 'step', step },
      sideFiles: false,
    });
    const error = await squaredDistance(output, last);
    const residual = await squaredDistance(last, run.base);
    return {
      ...committed,
      step,
      chainError: Math.sqrt(error / residual),
      directError: direct.relativeError,
      directRatio: direct.ratio,
    };
  } finally {
    await store.close();
  }
}

/** Over all tensors that both have. */
async function squaredDistance(path: string, base: string): Promise<number> {
  const { tensors } = await diff(path, { base, budgets: [] });
  return tensors.reduce((sum, { squaredResidual = 0 }) => sum + squaredResidual, 0);
}

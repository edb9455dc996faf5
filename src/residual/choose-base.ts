/** Opens the base of an encode; of several the one that the fine-tune belongs to, by samples of their weights. */
import type { Checkpoint } from '../../formats/checkpoint.js';
import { CheckpointMismatchError } from '../../formats/errors.js';
import type { Sketch } from '../../formats/sketch/sketch.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import { type BaseRank, diagnoseBase, rankBases } from '../sketch/rank-bases.js';
import { sketchCheckpoint } from '../sketch/sketch-checkpoint.js';
import type { EncodeOptions } from './api.js';
import type { Runtime } from './runtime.js';

export interface ChosenBase {
  readonly path: string;
  /** To be closed by the caller. */
  readonly checkpoint: Checkpoint;
  /** Every base that was looked at, the most fitting first; of a single one there is nothing to choose. */
  readonly candidates?: readonly BaseRank[];
  readonly warnings: readonly string[];
}

/** The paths that `base` names. @throws TypeError for none */
export function basePaths({ base }: Pick<EncodeOptions, 'base'>): readonly string[] {
  const paths = typeof base === 'string' ? [base] : [...base];
  if (paths.length === 0) throw new TypeError('expected the path of a base, got none');
  return paths;
}

/**
 * A single base is opened and not judged.
 * @throws CheckpointMismatchError where none of several fits, with the distance of each; with `force` that is a warning
 */
export async function chooseBase(
  fineTuned: Checkpoint,
  runtime: Runtime,
  options: Pick<EncodeOptions, 'base' | 'force' | 'signal'>,
): Promise<ChosenBase> {
  const paths = basePaths(options);
  const { signal } = options;
  const [only] = paths;
  if (paths.length === 1) return { path: only!, checkpoint: await openCheckpoint(only!), warnings: [] };
  const sketch = await sketchCheckpoint(fineTuned, runtime, { signal });
  const candidates = rankBases(
    sketch,
    await Promise.all(
      paths.map(async (path) => ({ name: path, sketch: await sketchPath(path, runtime, signal) })),
    ),
  );
  const [best] = candidates;
  const warnings: string[] = [];
  if (best!.verdict === 'unrelated') {
    const message = `none of ${paths.length} bases looks like the base of ${fineTuned.location}: ${diagnoseBase(candidates)}`;
    if (options.force !== true) {
      throw new CheckpointMismatchError(`${message}. Give the right base, or --force to encode anyway.`, {
        expected: 'a base with related weights',
        found: candidates
          .map(({ name, distance }) => `${name} at distance ${distance.toFixed(2)}`)
          .join(', '),
      });
    }
    warnings.push(`forced although ${message}`);
  }
  return { path: best!.name, checkpoint: await openCheckpoint(best!.name), candidates, warnings };
}

async function sketchPath(path: string, runtime: Runtime, signal: AbortSignal | undefined): Promise<Sketch> {
  const checkpoint = await openCheckpoint(path);
  try {
    return await sketchCheckpoint(checkpoint, runtime, { signal });
  } finally {
    await checkpoint.close();
  }
}

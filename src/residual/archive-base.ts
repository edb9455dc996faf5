/** Holding a base checkpoint against what an archive needs of it. */
import type { Checkpoint, TensorInfo } from '../../formats/checkpoint.js';
import type { ArchiveIndex, ArchiveTensor, Digest } from '../../formats/ere/archive-index.js';
import { CheckpointMismatchError } from '../../formats/errors.js';
import { matchNames, type TensorLayout } from '../sketch/match-names.js';

/** What the archive calls its base: 'llama-7b at revision abc'. */
export function describeBase({ base }: ArchiveIndex): string {
  return `"${base.name}"${base.revision === undefined ? '' : ` at revision ${base.revision}`} (${base.digest})`;
}

/** The base tensor that a tensor of the archive is coded against; undefined for an added one. */
export function baseTensorOf(base: Checkpoint, tensor: ArchiveTensor): TensorInfo | undefined {
  return tensor.base === undefined ? undefined : base.tensors.get(tensor.base.name ?? tensor.name);
}

/**
 * Checks names, dtypes and shapes of every base tensor that the archive needs, before any work.
 * @throws CheckpointMismatchError naming the first tensor that differs, and how many do
 */
export function assertBaseLayout(index: ArchiveIndex, base: Checkpoint): void {
  const problems = index.tensors.flatMap((tensor) => {
    if (tensor.base === undefined) return [];
    const found = baseTensorOf(base, tensor);
    const name = tensor.base.name ?? tensor.name;
    const expected = describe(tensor.base.dtype ?? tensor.dtype, tensor.base.shape ?? tensor.shape);
    const actual = found === undefined ? 'no such tensor' : describe(found.dtype, found.shape);
    return expected === actual ? [] : [{ name, expected, actual, dtype: found?.dtype }];
  });
  const first = problems[0];
  if (first === undefined) return;
  const needed = index.tensors.filter((tensor) => tensor.base !== undefined).length;
  throw new CheckpointMismatchError(
    `${base.location} is not the base of this archive: tensor "${first.name}": expected ${first.expected}, found ${first.actual} ` +
      `(${problems.length} of ${needed} tensors differ)${prefixHint(index, base)}. The archive needs ${describeBase(index)}.`,
    { tensor: first.name, expected: first.expected, found: first.actual },
  );
}

/** What to rename, where that is all: the same base as another program saves it. */
function prefixHint(index: ArchiveIndex, base: Checkpoint): string {
  const needed = new Map<string, TensorLayout>();
  for (const tensor of index.tensors) {
    if (tensor.base === undefined) continue;
    const { name = tensor.name, dtype = tensor.dtype, shape = tensor.shape } = tensor.base;
    needed.set(name, { dtype, shape });
  }
  const { prefixChange } = matchNames(base.tensors, needed);
  if (prefixChange === undefined) return '';
  return `; its names begin with "${prefixChange.base}" where the archive's begin with "${prefixChange.fineTuned}": rename its tensors`;
}

function describe(dtype: string, shape: readonly number[]): string {
  return `${dtype} [${shape.join(', ')}]`;
}

/** @throws CheckpointMismatchError when a base tensor's bytes are not those the archive was made against */
export function assertBaseDigest(
  index: ArchiveIndex,
  base: Checkpoint,
  tensor: ArchiveTensor,
  found: Digest,
): void {
  const expected = tensor.base!.digest;
  if (expected === found) return;
  const name = tensor.base!.name ?? tensor.name;
  throw new CheckpointMismatchError(
    `${base.location} is not the base of this archive: tensor "${name}" has the right dtype and shape but other values ` +
      `(expected ${expected}, found ${found}). The archive needs ${describeBase(index)}.`,
    { tensor: name, expected, found },
  );
}

/**
 * Pairs the tensors of a fine-tuned checkpoint with those of its base, by name or by name with another prefix, and
 * says for each how it can be coded (DESIGN: tensor cases). Looks at names, dtypes and shapes only.
 */
import type { Checkpoint, TensorInfo } from '../../formats/checkpoint.js';
import { DTYPES, elementCount, isFloatDtype } from '../../formats/dtype.js';
import { CheckpointMismatchError } from '../../formats/errors.js';
import { matrixView } from '../../formats/matrix-view.js';
import {
  describePrefixChange,
  isSameButForRows,
  matchNames,
  type PrefixChange,
} from '../sketch/match-names.js';

/** One tensor of the fine-tune and what is known of it before its bytes are read. */
export interface TensorPair {
  readonly fineTuned: TensorInfo;
  /** The base tensor of the same name, but for the prefix change, when its shape allows a use. */
  readonly base: TensorInfo | undefined;
  /** Matrix view of the fine-tuned tensor; rows × columns = elements. */
  readonly rows: number;
  readonly columns: number;
  /** Rows at the start that base and fine-tune share; 0 without a base. */
  readonly commonRows: number;
  /** Whether a residual in float arithmetic is possible and worth it; else the tensor is coded exactly. */
  readonly kind: 'matrix' | 'exact' | 'added';
}

export interface Pairing {
  /** In the order of the fine-tuned checkpoint. */
  readonly pairs: readonly TensorPair[];
  /** Names of base tensors that the fine-tune lacks. */
  readonly removed: readonly string[];
  /** Tensors of the fine-tune whose shape in the base cannot be used: "name: base [..], fine-tuned [..]". */
  readonly shapeConflicts: readonly string[];
  /** What was changed in names to pair them; undefined where they match as they are. */
  readonly prefixChange?: PrefixChange;
}

/** Pairs by name, or by name with one prefix changed where that matches more (match-names.ts). Never throws on a mismatch: see assertPaired. */
export function pairTensors(base: Checkpoint, fineTuned: Checkpoint): Pairing {
  const { baseNames, prefixChange } = matchNames(base.tensors, fineTuned.tensors);
  const shapeConflicts: string[] = [];
  const pairs = [...fineTuned.tensors.values()].map((tensor) => {
    const candidate = base.tensors.get(baseNames.get(tensor.name) ?? tensor.name);
    if (candidate !== undefined && !isSameButForRows(candidate.shape, tensor.shape)) {
      shapeConflicts.push(`${tensor.name}: base [${candidate.shape}], fine-tuned [${tensor.shape}]`);
      return pairOf(tensor, undefined);
    }
    return pairOf(tensor, candidate);
  });
  const paired = new Set(baseNames.values());
  const removed = [...base.tensors.keys()].filter((name) => !paired.has(name));
  return { pairs, removed, shapeConflicts, ...(prefixChange === undefined ? {} : { prefixChange }) };
}

function pairOf(fineTuned: TensorInfo, base: TensorInfo | undefined): TensorPair {
  const view = exactOrMatrixView(fineTuned);
  const commonRows =
    base === undefined ? 0 : Math.min(view.rows, Math.floor(elementCount(base.shape) / view.columns));
  const bothFloat = base !== undefined && isFloatDtype(fineTuned.dtype) && isFloatDtype(base.dtype);
  const isMatrix = bothFloat && commonRows > 1 && view.columns > 1;
  return {
    fineTuned,
    base,
    ...view,
    commonRows,
    kind: isMatrix ? 'matrix' : base === undefined ? 'added' : 'exact',
  };
}

/** The matrix view; packed elements that share bytes over row ends are seen as one row. */
function exactOrMatrixView(tensor: TensorInfo): { rows: number; columns: number } {
  const view = matrixView(tensor.shape);
  const rowBits = view.columns * DTYPES[tensor.dtype].bits;
  if (rowBits % 8 === 0 || view.rows === 0) return view;
  return { rows: 1, columns: elementCount(tensor.shape) };
}

/** What to tell of names that were changed; none where they match as they are. */
export function prefixWarnings({ prefixChange }: Pairing): string[] {
  if (prefixChange === undefined) return [];
  return [`tensors are paired by another prefix: ${describePrefixChange(prefixChange)}`];
}

/** Share of the fine-tune's bytes that must have a counterpart in the base. */
const MATCHING_SHARE = 0.5;

/** @throws CheckpointMismatchError when most of the fine-tune's bytes have no counterpart in the base. */
export function assertPaired(pairing: Pairing, base: Checkpoint, fineTuned: Checkpoint): void {
  let total = 0;
  let matched = 0;
  for (const pair of pairing.pairs) {
    total += pair.fineTuned.byteLength;
    if (pair.base !== undefined) matched += pair.fineTuned.byteLength;
  }
  if (total === 0 || matched / total >= MATCHING_SHARE) return;
  const conflicting = new Set(
    pairing.shapeConflicts.map((conflict) => conflict.slice(0, conflict.lastIndexOf(': base'))),
  );
  const unmatched = pairing.pairs
    .filter((pair) => pair.base === undefined)
    .map((pair) => pair.fineTuned.name);
  const absent = unmatched.filter((name) => !conflicting.has(name));
  const parts = [
    absent.length > 0 ? `${absent.length} tensors are not in the base (${listSome(absent)})` : '',
    conflicting.size > 0
      ? `${conflicting.size} have another shape (${listSome(pairing.shapeConflicts)})`
      : '',
    pairing.removed.length > 0
      ? `${pairing.removed.length} base tensors have no counterpart (${listSome(pairing.removed)})`
      : '',
  ].filter((part) => part !== '');
  throw new CheckpointMismatchError(
    `${base.location} does not look like the base of ${fineTuned.location}: only ${((matched / total) * 100).toFixed(1)} % ` +
      `of the fine-tuned bytes have a counterpart; ${parts.join('; ')}. Give the right base, or --force to encode anyway.`,
    {
      tensor: unmatched[0],
      expected: `at least ${MATCHING_SHARE * 100} % of the bytes matched by name and shape`,
      found: `${((matched / total) * 100).toFixed(1)} %`,
    },
  );
}

function listSome(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(', ');
  return names.length > 3 ? `${shown}, …` : shown;
}

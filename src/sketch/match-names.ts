/**
 * Which tensor of a base a tensor of a fine-tune is, from names and shapes: the one of the same name, else, where
 * one change of a prefix explains more than the names as they are, the one of the changed name.
 * `model.layers.0…` in a language model is `language_model.model.layers.0…` in the multimodal model around it.
 */

import { compareCodePoints } from '../../formats/compare-code-points.js';
import type { Dtype } from '../../formats/dtype.js';
import { elementCount } from '../../formats/dtype.js';

export interface TensorLayout {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/** Names of the fine-tune begin with `fineTuned` where those of the base begin with `base`; each '' or 'a.b.'. */
export interface PrefixChange {
  readonly base: string;
  readonly fineTuned: string;
}

export interface NameMatch {
  /** Name in the base by name in the fine-tune; no two are of the same base tensor. */
  readonly baseNames: ReadonlyMap<string, string>;
  /** Undefined where names match as they are, or not at all. */
  readonly prefixChange: PrefixChange | undefined;
}

type Layouts = ReadonlyMap<string, TensorLayout>;

/** Names of the fine-tune that are held against every name of the base. */
const PROBES = 48;

/** Changes that are held against every name; the right one is among the first few. */
const TRIED_CHANGES = 16;

/** Matches by names; a match may still have a shape that cannot be used. */
export function matchNames(base: Layouts, fineTuned: Layouts): NameMatch {
  const baseNames = new Map<string, string>();
  let sameNameElements = 0;
  for (const [name, layout] of fineTuned) {
    const candidate = base.get(name);
    if (candidate === undefined) continue;
    baseNames.set(name, name);
    if (isSameButForRows(candidate.shape, layout.shape)) sameNameElements += elementCount(layout.shape);
  }
  const rest = {
    base: without(base, baseNames),
    fineTuned: without(fineTuned, baseNames),
  };
  const change = findPrefixChange(rest.base, rest.fineTuned);
  if (change === undefined || change.elements <= sameNameElements) {
    return { baseNames, prefixChange: undefined };
  }
  const { prefixChange } = change;
  for (const name of rest.fineTuned.keys()) {
    const renamed = rename(name, prefixChange);
    if (renamed !== undefined && rest.base.has(renamed)) baseNames.set(name, renamed);
  }
  return { baseNames, prefixChange };
}

/** 'names begin with "language_model." where the base's begin with ""'. */
export function describePrefixChange({ base, fineTuned }: PrefixChange): string {
  if (base === '') return `the fine-tune's names have "${fineTuned}" in front`;
  if (fineTuned === '') return `the fine-tune's names lack "${base}" in front`;
  return `the fine-tune's names begin with "${fineTuned}" in place of "${base}"`;
}

/** Whether one shape is the other with rows added or taken away, or the same. */
export function isSameButForRows(x: readonly number[], y: readonly number[]): boolean {
  return x.length === y.length && x.every((dimension, i) => i === 0 || dimension === y[i]);
}

function without(layouts: Layouts, names: ReadonlyMap<string, string>): Layouts {
  return new Map([...layouts].filter(([name]) => !names.has(name)));
}

/** The name in the base; undefined where the change says nothing of this name. */
function rename(name: string, { base, fineTuned }: PrefixChange): string | undefined {
  return name.startsWith(fineTuned) ? base + name.slice(fineTuned.length) : undefined;
}

/** The change that matches most elements, and how many. */
function findPrefixChange(
  base: Layouts,
  fineTuned: Layouts,
): { readonly prefixChange: PrefixChange; readonly elements: number } | undefined {
  if (base.size === 0 || fineTuned.size === 0) return undefined;
  const matched = voteForChanges(base, fineTuned).map((prefixChange) => {
    let elements = 0;
    for (const [name, { shape }] of fineTuned) {
      const found = base.get(rename(name, prefixChange) ?? '');
      if (found !== undefined && isSameButForRows(found.shape, shape)) elements += elementCount(shape);
    }
    return { prefixChange, elements };
  });
  // Of equal ones the first: it has most votes.
  return matched.reduce<(typeof matched)[number] | undefined>(
    (best, change) => (best === undefined || change.elements > best.elements ? change : best),
    undefined,
  );
}

/** Changes that the longest common endings of some names suggest, the most frequent first. */
function voteForChanges(base: Layouts, fineTuned: Layouts): PrefixChange[] {
  const votes = new Map<string, { readonly prefixChange: PrefixChange; count: number }>();
  const baseSegments = [...base].map(([name, { shape }]) => ({ segments: name.split('.'), shape }));
  for (const [name, { shape }] of probesOf(fineTuned)) {
    const segments = name.split('.');
    let longest = 1;
    let best: string[][] = [];
    for (const candidate of baseSegments) {
      const common = commonEnding(candidate.segments, segments);
      if (common < longest || !isSameButForRows(candidate.shape, shape)) continue;
      if (common > longest) best = [];
      longest = common;
      best.push(candidate.segments);
    }
    for (const found of best) {
      const prefixChange = {
        base: prefixOf(found, found.length - longest),
        fineTuned: prefixOf(segments, segments.length - longest),
      };
      const key = JSON.stringify(prefixChange);
      const vote = votes.get(key) ?? { prefixChange, count: 0 };
      vote.count++;
      votes.set(key, vote);
    }
  }
  return [...votes]
    .sort(([x, { count: xCount }], [y, { count: yCount }]) => yCount - xCount || compareCodePoints(x, y))
    .slice(0, TRIED_CHANGES)
    .map(([, { prefixChange }]) => prefixChange);
}

/** Evenly spread over the tensors by size, the largest among them. */
function probesOf(layouts: Layouts): (readonly [string, TensorLayout])[] {
  const bySize = [...layouts].sort(([, x], [, y]) => elementCount(y.shape) - elementCount(x.shape));
  const stride = Math.ceil(bySize.length / PROBES);
  return bySize.filter((_, i) => i % stride === 0);
}

/** Segments that both names end with. */
function commonEnding(x: readonly string[], y: readonly string[]): number {
  const most = Math.min(x.length, y.length);
  let common = 0;
  while (common < most && x[x.length - 1 - common] === y[y.length - 1 - common]) common++;
  return common;
}

function prefixOf(segments: readonly string[], count: number): string {
  return segments
    .slice(0, count)
    .map((segment) => `${segment}.`)
    .join('');
}

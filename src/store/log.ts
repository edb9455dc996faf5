/** log: versions and their order, from summaries alone. */
import type { LogEntry, LogOptions, VersionId, VersionSummary } from './api.js';
import type { RefKind } from './layout.js';
import { listRefs } from './refs.js';
import type { StoreReader } from './store-reader.js';
import { readSummaries } from './summaries.js';

/**
 * Versions that a ref, or any model or tag, leads to: children before parents, the newest first. A parent that was
 * removed is passed over.
 */
export async function logVersions(reader: StoreReader, { ref, limit }: LogOptions): Promise<LogEntry[]> {
  const [summaries, names] = await Promise.all([readSummaries(reader), readNames(reader)]);
  const heads = ref === undefined ? [...names.keys()] : [(await reader.resolve(ref)).id];
  const parentsOf = new Map<VersionId, readonly VersionId[]>();
  const reached = new Map<VersionId, VersionSummary>();
  const waiting = [...heads];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (parentsOf.has(id)) continue;
    const summary = summaries.get(id);
    const parents = summary?.parents ?? (await reader.parents(id)) ?? [];
    parentsOf.set(id, parents);
    if (summary !== undefined && summary.kind === 'version') reached.set(id, summary);
    waiting.push(...parents);
  }
  const entries = inOrder(reached, parentsOf).map((summary) => ({
    ...summary,
    parents: summary.parents.flatMap((id) => livingParents(id, reached, parentsOf)),
    names: names.get(summary.id) ?? [],
  }));
  return limit === undefined ? entries : entries.slice(0, limit);
}

/** By id the models and tags that point at it. */
export async function readNames(reader: StoreReader): Promise<Map<VersionId, string[]>> {
  const names = new Map<VersionId, string[]>();
  for (const kind of ['model', 'tag'] as const satisfies readonly RefKind[]) {
    for (const { id, name } of await listRefs(reader.backend, kind)) {
      names.set(id, [...(names.get(id) ?? []), name]);
    }
  }
  return names;
}

/** A parent that is there, or those behind it that are. */
function livingParents(
  id: VersionId,
  reached: ReadonlyMap<VersionId, unknown>,
  parentsOf: ReadonlyMap<VersionId, readonly VersionId[]>,
): VersionId[] {
  const found: VersionId[] = [];
  const seen = new Set<VersionId>();
  const waiting = [id];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    if (reached.has(next)) found.push(next);
    else waiting.push(...(parentsOf.get(next) ?? []));
  }
  return found;
}

/** Children first; among those that may come next, the newest. */
function inOrder(
  reached: ReadonlyMap<VersionId, VersionSummary>,
  parentsOf: ReadonlyMap<VersionId, readonly VersionId[]>,
): VersionSummary[] {
  const children = new Map<VersionId, number>();
  for (const parents of parentsOf.values()) {
    for (const parent of parents) children.set(parent, (children.get(parent) ?? 0) + 1);
  }
  const timeOf = (id: VersionId): number => Date.parse(reached.get(id)?.createdAt ?? '') || 0;
  const ready = [...parentsOf.keys()].filter((id) => !children.has(id)).sort((x, y) => timeOf(x) - timeOf(y));
  const ordered: VersionSummary[] = [];
  for (let id = ready.pop(); id !== undefined; id = ready.pop()) {
    const summary = reached.get(id);
    if (summary !== undefined) ordered.push(summary);
    for (const parent of parentsOf.get(id) ?? []) {
      const left = children.get(parent)! - 1;
      children.set(parent, left);
      if (left === 0) insertByTime(ready, parent, timeOf);
    }
  }
  return ordered;
}

function insertByTime(ready: VersionId[], id: VersionId, timeOf: (id: VersionId) => number): void {
  const time = timeOf(id);
  let at = ready.length;
  while (at > 0 && timeOf(ready[at - 1]!) > time) at--;
  ready.splice(at, 0, id);
}

/** Finding the model, version and path that an address names. */
import type { Catalog, ServedCommit } from './catalog.js';
import { Problem } from './problem.js';

export interface FoundModel {
  readonly model: string;
  /** Segments behind its name. */
  readonly rest: readonly string[];
}

/** Segments that a model's name has at most: more than any client takes. */
const MAX_NAME_SEGMENTS = 8;

/**
 * The model whose name an address begins with. Names may have any number of segments, so the longest that is a model,
 * and is followed by one of the words, or nothing, is taken.
 * @throws Problem 404
 */
export async function findModel(
  catalog: Catalog,
  segments: readonly string[],
  words: ReadonlySet<string>,
): Promise<FoundModel> {
  for (let count = Math.min(segments.length, MAX_NAME_SEGMENTS); count > 0; count--) {
    const rest = segments.slice(count);
    if (rest.length > 0 && !words.has(rest[0]!)) continue;
    const model = segments.slice(0, count).join('/');
    if ((await catalog.refs(model)) !== undefined) return { model, rest };
  }
  const end = segments.findIndex((segment, i) => i > 0 && words.has(segment));
  const name = end === -1 ? segments : segments.slice(0, end);
  throw new Problem(404, `no model ${shown(name)}`, { code: 'RepoNotFound' });
}

export interface FoundCommit {
  readonly commit: ServedCommit;
  /** Segments behind the revision. */
  readonly rest: readonly string[];
}

/**
 * The commit that segments begin with, or that of `main` where there are none: names of tags may have slashes, which not
 * every client encodes.
 * @throws Problem 404
 */
export async function findCommit(
  catalog: Catalog,
  model: string,
  asked: readonly string[],
): Promise<FoundCommit> {
  const segments = asked.length === 0 ? ['main'] : asked;
  for (let count = 1; count <= Math.min(segments.length, MAX_NAME_SEGMENTS); count++) {
    const commit = await catalog.resolve(model, segments.slice(0, count).join('/'));
    if (commit !== undefined) return { commit, rest: segments.slice(count) };
  }
  const revision = segments[0]!;
  throw new Problem(404, `${shown([model])} has no revision ${shown([revision])}`, {
    code: 'RevisionNotFound',
  });
}

/** A name from outside, of a length that fits into a message. */
export function shown(segments: readonly string[]): string {
  const name = segments.join('/');
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name);
}

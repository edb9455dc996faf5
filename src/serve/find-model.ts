/** Finding the model, version and path that an address names. */
import { isEreError } from '../../formats/errors.js';
import type { Catalog, ServedCommit, ServedVersion } from './catalog.js';
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
  if (end === -1) await assertNoOtherWord(catalog, segments);
  const name = end === -1 ? segments : segments.slice(0, end);
  throw new Problem(404, `no model ${shown(name)}`, { code: 'RepoNotFound' });
}

/** What the Hub has behind a model's name, and this server has not. */
const OTHER_WORDS: ReadonlySet<string> = new Set(
  'blame blob branch commit compare discussions jwt lfs-files scan settings tag treesize xet-read-token xet-write-token'.split(
    ' ',
  ),
);

/**
 * Clients take it for a missing model where something else about a model is missing.
 * @throws Problem 404 where a model is followed by what only something else than a model's name can be
 */
async function assertNoOtherWord(catalog: Catalog, segments: readonly string[]): Promise<void> {
  for (let count = Math.min(segments.length - 1, MAX_NAME_SEGMENTS); count > 0; count--) {
    // Clients know names of at most two segments.
    if (count === 1 && !OTHER_WORDS.has(segments[1]!)) return;
    const name = segments.slice(0, count);
    if ((await catalog.refs(name.join('/'))) === undefined) continue;
    throw new Problem(404, `${shown(name)} has no ${shown(segments.slice(count))} on this server`);
  }
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

export interface FoundVersion {
  readonly version: ServedVersion;
  /** Segments behind the revision. */
  readonly rest: readonly string[];
}

/**
 * Opens the version that segments begin with, as `findCommit` has them. What was replaced since it was looked up is looked
 * up once more: `main` is another commit then.
 * @throws Problem 404; as `Catalog.open`
 */
export async function openRevision(
  catalog: Catalog,
  model: string,
  asked: readonly string[],
): Promise<FoundVersion> {
  const { commit, rest } = await findCommit(catalog, model, asked);
  try {
    return { version: await catalog.open(model, commit.id), rest };
  } catch (error) {
    if (!isEreError(error, 'ERE_NOT_FOUND')) throw error;
    const now = await findCommit(catalog, model, asked);
    if (now.commit.id === commit.id) throw error;
    return { version: await catalog.open(model, now.commit.id), rest: now.rest };
  }
}

/** A name from outside, of a length that fits into a message. */
export function shown(segments: readonly string[]): string {
  const name = segments.join('/');
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name);
}

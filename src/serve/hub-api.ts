/**
 * The read side of the Hub's API, as huggingface_hub, transformers and @huggingface/hub use it: models, revisions, trees,
 * paths, refs and commits, in JSON. Source: hf_api.py of huggingface_hub 1.x and src/lib of @huggingface/hub 2.x.
 */
import { createHash } from 'node:crypto';
import { type Answer, json } from './answer.js';
import type { Asked } from './asked.js';
import type { Catalog, ServedCommit, ServedFile, ServedModel, ServedVersion } from './catalog.js';
import { findCommit, findModel, openRevision, shown } from './find-model.js';
import { Problem } from './problem.js';
import { entriesIn, fileEntry, type TreeEntry, treeOf } from './tree.js';

/** Words behind a model's name. */
const WORDS: ReadonlySet<string> = new Set([
  'revision',
  'tree',
  'paths-info',
  'refs',
  'commits',
  'auth-check',
]);
/** Of one answer. */
const PAGE_LENGTH = 1000;
const MAX_PATHS_BYTE_LENGTH = 1 << 20;

/** Everybody who may read is one: tokens have no names here. */
const WHO_READS = {
  type: 'user',
  name: 'ere',
  fullname: 'ere',
  orgs: [],
  auth: { type: 'access_token', accessToken: { displayName: 'ere', role: 'read' } },
} as const;

export interface ApiOptions {
  readonly catalog: Catalog;
  /** Whether a token is needed: clients then show models as private. */
  readonly isPrivate: boolean;
}

/** @param segments behind `/api/` */
export async function answerApi(
  asked: Asked,
  segments: readonly string[],
  options: ApiOptions,
): Promise<Answer> {
  const [kind, ...names] = segments;
  if (kind === 'whoami-v2' && names.length === 0) return json(WHO_READS);
  if (kind !== 'models') {
    if (kind === 'datasets' || kind === 'spaces')
      throw new Problem(404, `this server has no ${kind}, only models`, { code: 'RepoNotFound' });
    throw new Problem(404, `no such address: ${shown(['api', ...segments])}`);
  }
  if (names.length === 0) return listModels(asked, options);
  const { model, rest } = await findModel(options.catalog, names, WORDS);
  const [word = 'revision', ...behind] = rest;
  switch (word) {
    case 'revision':
      return modelInfo(asked, model, behind, options);
    case 'tree':
      return listTree(asked, model, behind, options);
    case 'paths-info':
      return pathsInfo(asked, model, behind, options);
    case 'refs':
      return listRefs(model, options);
    case 'auth-check':
      return json({});
    default:
      return listCommits(asked, model, behind, options);
  }
}

async function listModels(asked: Asked, { catalog, isPrivate }: ApiOptions): Promise<Answer> {
  const { query } = asked;
  const search = query.get('search')?.toLowerCase() ?? '';
  const author = query.get('author');
  const models = (await catalog.models()).filter(
    ({ name }) => name.toLowerCase().includes(search) && (author === null || name.startsWith(`${author}/`)),
  );
  const descending = <T>(value: (model: ServedModel) => T) =>
    models.sort((x, y) => (value(x) < value(y) ? 1 : value(x) > value(y) ? -1 : 0));
  if (query.get('sort') === 'lastModified') descending(({ head }) => head.createdAt);
  return page(
    asked,
    models.map((model) => modelEntry(model.name, model.head, isPrivate)),
  );
}

async function modelInfo(
  asked: Asked,
  model: string,
  segments: readonly string[],
  { catalog, isPrivate }: ApiOptions,
): Promise<Answer> {
  const { commit, files } = (await openRevision(catalog, model, segments)).version;
  const withBlobs = isSet(asked.query, 'blobs');
  const siblings = files.map((file) => {
    if (!withBlobs) return { rfilename: file.path };
    const { oid, size, lfs } = fileEntry(file);
    return {
      rfilename: file.path,
      blobId: oid,
      size,
      ...(lfs && { lfs: { sha256: lfs.oid, size: lfs.size, pointerSize: lfs.pointerSize } }),
    };
  });
  return json({ ...modelEntry(model, commit, isPrivate), siblings, usedStorage: commit.storedByteLength });
}

async function listTree(
  asked: Asked,
  model: string,
  segments: readonly string[],
  { catalog }: ApiOptions,
): Promise<Answer> {
  const { version, rest } = await openRevision(catalog, model, segments);
  const { commit } = version;
  const folder = rest.length === 0 ? '' : `${rest.join('/')}/`;
  const isRecursive = isSet(asked.query, 'recursive');
  const entries = entriesIn(version, folder, isRecursive);
  if (entries.length === 0 && folder !== '') throw notThere(model, rest.join('/'), commit);
  const isExpanded = isSet(asked.query, 'expand');
  return page(asked, isExpanded ? entries.map((entry) => withCommit(entry, commit)) : entries);
}

async function pathsInfo(
  asked: Asked,
  model: string,
  segments: readonly string[],
  { catalog }: ApiOptions,
): Promise<Answer> {
  const { paths, expand } = parsePaths(asked, await asked.readBody(MAX_PATHS_BYTE_LENGTH));
  const { version } = await openRevision(catalog, model, segments);
  const entries = treeOf(version);
  const found = [...new Set(paths)].flatMap((path) => {
    const entry = entries.get(path.replace(/^\/+|\/+$/g, ''));
    return entry === undefined ? [] : [expand ? withCommit(entry, version.commit) : entry];
  });
  return json(found);
}

/** JSON, or a form. @throws Problem 400 */
function parsePaths(
  { headers }: Asked,
  body: Buffer,
): { readonly paths: readonly string[]; readonly expand: boolean } {
  const fail = (cause?: unknown): never => {
    throw new Problem(400, 'expected {"paths": [...]}, in JSON or as a form', { cause });
  };
  if (headers['content-type']?.startsWith('application/x-www-form-urlencoded')) {
    const form = new URLSearchParams(body.toString());
    return { paths: form.getAll('paths'), expand: isSet(form, 'expand') };
  }
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch (error) {
    return fail(error);
  }
  const { paths, expand } = (value ?? {}) as { readonly paths?: unknown; readonly expand?: unknown };
  const list = typeof paths === 'string' ? [paths] : paths;
  if (!Array.isArray(list) || !list.every((path) => typeof path === 'string')) return fail();
  return { paths: list, expand: expand === true };
}

async function listRefs(model: string, { catalog }: ApiOptions): Promise<Answer> {
  const refs = await catalog.refs(model);
  if (refs === undefined) throw new Problem(404, `no model ${shown([model])}`, { code: 'RepoNotFound' });
  const entries = (list: typeof refs.tags, prefix: string) =>
    list.map(({ name, commit }) => ({ name, ref: `${prefix}${name}`, targetCommit: commit }));
  return json({
    branches: entries(refs.branches, 'refs/heads/'),
    tags: entries(refs.tags, 'refs/tags/'),
    converts: [],
  });
}

async function listCommits(
  asked: Asked,
  model: string,
  segments: readonly string[],
  { catalog }: ApiOptions,
): Promise<Answer> {
  const { commit } = await findCommit(catalog, model, segments);
  const history = await catalog.history(model, commit.id);
  const commits = history.map(({ id, title, message, createdAt }) => ({
    id,
    title,
    message: message.slice(title.length).trim(),
    date: createdAt,
    authors: [],
  }));
  return page(asked, commits, { 'x-total-count': String(commits.length) });
}

function withCommit(entry: TreeEntry, commit: ServedCommit): object {
  return { ...entry, lastCommit: lastCommit(commit) };
}

function lastCommit({ id, title, createdAt }: ServedCommit): object {
  return { id, title, date: createdAt };
}

function modelEntry(name: string, commit: ServedCommit, isPrivate: boolean): object {
  const slash = name.indexOf('/');
  return {
    _id: createHash('sha256').update(name).digest('hex').slice(0, 24),
    id: name,
    modelId: name,
    ...(slash === -1 ? {} : { author: name.slice(0, slash) }),
    sha: commit.id,
    lastModified: commit.createdAt,
    createdAt: commit.createdAt,
    private: isPrivate,
    gated: false,
    disabled: false,
    downloads: 0,
    likes: 0,
    tags: ['safetensors', ...(commit.base === undefined ? [] : [`base_model:finetune:${commit.base}`])],
  };
}

/** A page of a list, and where the next one is. @throws Problem 400 */
function page(asked: Asked, list: readonly object[], headers: Record<string, string> = {}): Answer {
  const { query, origin, url } = asked;
  const from = wholeNumber(query, 'cursor', 0);
  const length = Math.min(wholeNumber(query, 'limit', PAGE_LENGTH), PAGE_LENGTH);
  const end = from + length;
  // A page of nothing would have itself as the next one.
  if (end >= list.length || length === 0) return json(list.slice(from, end), 200, headers);
  const next = new URLSearchParams(query);
  next.set('cursor', String(end));
  const link = `<${origin}${url.split('?', 1)[0]}?${next}>; rel="next"`;
  return json(list.slice(from, end), 200, { ...headers, link });
}

function wholeNumber(query: URLSearchParams, name: string, absent: number): number {
  const value = query.get(name);
  if (value === null) return absent;
  if (!/^\d{1,9}$/.test(value)) throw new Problem(400, `expected ${name} to be a whole number`);
  return Number(value);
}

/** With the commit: clients remember of it that the file is not there, and ask no more. */
export function notThere(model: string, path: string, commit: ServedCommit): Problem {
  return new Problem(404, `${shown([model])} has no ${shown([path])} at this revision`, {
    code: 'EntryNotFound',
    headers: { 'x-repo-commit': commit.id },
  });
}

/** The file at a path. @throws Problem 404 */
export function fileAt({ model, commit, files }: ServedVersion, path: string): ServedFile {
  const file = files.find((candidate) => candidate.path === path);
  if (file === undefined) throw notThere(model, path, commit);
  return file;
}

/** As clients say it: `true`, `True` or `1`. */
function isSet(query: URLSearchParams, name: string): boolean {
  return /^(?:true|1)$/i.test(query.get(name) ?? '');
}

/** The Hub's own origin: model info, trees, files, repositories, branches, LFS batches and commits. */
import type { Answer, Asked, HubState } from './hub-double.js';
import { handleBatch } from './hub-double-lfs.js';
import {
  addCommit,
  type DoubleFile,
  type DoubleRepo,
  findDoubleCommit,
  gitHash,
  newRepo,
} from './hub-repos.js';

const json = (value: unknown, status = 200, headers: Record<string, string> = {}): Answer => ({
  status,
  headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
  body: JSON.stringify(value),
});

const failure = (status: number, error: string, code?: string): Answer =>
  json({ error }, status, {
    'x-error-message': error,
    ...(code === undefined ? {} : { 'x-error-code': code }),
  });

const NAME = '([\\w.-]+/[\\w.-]+)';

/** Paths and what answers them; the groups of the path are decoded. */
const ROUTES: readonly [
  method: RegExp,
  path: RegExp,
  handle: (state: HubState, asked: Asked, groups: string[]) => Answer,
][] = [
  [/^GET$/, new RegExp(`^/api/models/${NAME}/revision/([^/]+)$`), modelInfo],
  [/^GET$/, new RegExp(`^/api/models/${NAME}/tree/([^/]+)$`), tree],
  [/^POST$/, /^\/api\/repos\/create$/, createRepo],
  [/^POST$/, new RegExp(`^/api/models/${NAME}/branch/([^/]+)$`), createBranch],
  [/^POST$/, new RegExp(`^/api/models/${NAME}/preupload/([^/]+)$`), preupload],
  [/^POST$/, new RegExp(`^/${NAME}\\.git/info/lfs/objects/batch$`), batch],
  [/^POST$/, new RegExp(`^/api/models/${NAME}/commit/([^/]+)$`), commit],
  [/^(?:GET|HEAD)$/, new RegExp(`^/${NAME}/resolve/([^/]+)/(.+)$`), resolveFile],
];

export function handleApi(state: HubState, asked: Asked): Answer {
  const expired = rightOf(state, asked) === 'expired';
  if (expired)
    return failure(401, `Invalid credentials: User Access Token is expired ${asked.headers.authorization}`);
  for (const [method, path, handle] of ROUTES) {
    const match = path.exec(asked.url.pathname);
    if (match === null || !method.test(asked.method)) continue;
    return handle(state, asked, match.slice(1).map(decodeURIComponent));
  }
  asked.violate('no such route');
  return failure(404, 'no such route');
}

function rightOf({ tokens }: HubState, { headers }: Asked): 'none' | 'read' | 'write' | 'expired' {
  const token = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1];
  return token === undefined ? 'none' : (tokens.get(token) ?? 'expired');
}

/** The repository, or the answer for whoever may not see it: without a token, that it needs one. */
function visibleRepo(state: HubState, asked: Asked, name: string): DoubleRepo | Answer {
  const repo = state.repos.get(name);
  const isAnonymous = rightOf(state, asked) === 'none';
  if (repo !== undefined && !(repo.isPrivate && isAnonymous)) return repo;
  return isAnonymous
    ? failure(401, 'Invalid username or password.', 'RepoNotFound')
    : failure(404, 'Repository not found', 'RepoNotFound');
}

function writableRepo(state: HubState, asked: Asked, name: string): DoubleRepo | Answer {
  const right = rightOf(state, asked);
  if (right === 'none') return failure(401, 'Invalid username or password.');
  if (right === 'read') return failure(403, 'Forbidden: you need write access.');
  return visibleRepo(state, asked, name);
}

const isAnswer = (value: DoubleRepo | Answer): value is Answer => 'status' in value;

function modelInfo(state: HubState, asked: Asked, [name, revision]: string[]): Answer {
  const repo = visibleRepo(state, asked, name!);
  if (isAnswer(repo)) return repo;
  const found = findDoubleCommit(repo, revision!);
  if (found === undefined) return failure(404, `Invalid rev id: ${revision}`, 'RevisionNotFound');
  return json({
    _id: '0123456789abcdef01234567',
    id: repo.name,
    private: repo.isPrivate,
    gated: false,
    downloads: 0,
    likes: 0,
    lastModified: '2026-01-01T00:00:00.000Z',
    sha: found.id,
  });
}

function tree(state: HubState, asked: Asked, [name, revision]: string[]): Answer {
  const repo = visibleRepo(state, asked, name!);
  if (isAnswer(repo)) return repo;
  const found = findDoubleCommit(repo, revision!);
  if (found === undefined) return failure(404, `Invalid rev id: ${revision}`, 'RevisionNotFound');
  const entries = [...found.files].sort(([a], [b]) => (a < b ? -1 : 1));
  const from = Number(asked.url.searchParams.get('cursor') ?? 0);
  const page = entries.slice(from, from + state.pageSize).map(([path, { bytes, lfs }]) => ({
    type: 'file',
    path,
    size: bytes.byteLength,
    oid: gitHash(lfs === undefined ? bytes : new TextEncoder().encode(`pointer to ${lfs}`)),
    ...(lfs === undefined ? {} : { lfs: { oid: lfs, size: bytes.byteLength, pointerSize: 134 } }),
  }));
  const next = new URL(asked.url.pathname + asked.url.search, state.url);
  next.searchParams.set('cursor', String(from + state.pageSize));
  const isLast = from + state.pageSize >= entries.length;
  return json(page, 200, isLast ? {} : { link: `<${next}>; rel="next"` });
}

function createRepo(state: HubState, asked: Asked): Answer {
  const right = rightOf(state, asked);
  if (right !== 'write') return failure(right === 'none' ? 401 : 403, 'you need write access');
  const { name, organization, visibility, type } = JSON.parse(new TextDecoder().decode(asked.body));
  if (type !== 'model') asked.violate(`expected a model, got ${type}`);
  const full = `${organization}/${name}`;
  if (state.repos.has(full)) return failure(409, 'You already created this model repo');
  state.repos.set(full, newRepo(full, visibility === 'private'));
  return json({ url: `${state.url}/${full}`, name: full, id: '0123456789abcdef01234567' });
}

function createBranch(state: HubState, asked: Asked, [name, branch]: string[]): Answer {
  const repo = writableRepo(state, asked, name!);
  if (isAnswer(repo)) return repo;
  if (repo.branches.has(branch!)) return failure(409, 'Reference already exists');
  repo.branches.set(branch!, repo.branches.get('main')!);
  return json({});
}

function preupload(state: HubState, asked: Asked, [name, branch]: string[]): Answer {
  const repo = writableRepo(state, asked, name!);
  if (isAnswer(repo)) return repo;
  if (!repo.branches.has(branch!)) return failure(404, `Invalid rev id: ${branch}`, 'RevisionNotFound');
  const { files } = JSON.parse(new TextDecoder().decode(asked.body));
  for (const { path, size, sample } of files) {
    if (!Number.isSafeInteger(size) || Buffer.from(sample, 'base64').length !== Math.min(512, size))
      asked.violate(`preupload of ${path}: a sample of the first 512 bytes, and the size`);
  }
  const isBinary = (path: string) => /\.(?:ere|safetensors|onnx)$/.test(path);
  return json({
    files: files.map(({ path, size }: { path: string; size: number }) => ({
      path,
      uploadMode: isBinary(path) || size > 10e6 ? 'lfs' : 'regular',
    })),
  });
}

function batch(state: HubState, asked: Asked, [name]: string[]): Answer {
  const repo = writableRepo(state, asked, name!);
  return isAnswer(repo) ? repo : handleBatch(state, asked);
}

/** Lines of the commit: a header, then files in base64 and LFS objects, which storage must have with these sizes. */
function commit(state: HubState, asked: Asked, [name, branch]: string[]): Answer {
  const repo = writableRepo(state, asked, name!);
  if (isAnswer(repo)) return repo;
  if (asked.headers['content-type'] !== 'application/x-ndjson')
    asked.violate('a commit is application/x-ndjson');
  const [header, ...operations] = new TextDecoder()
    .decode(asked.body)
    .split('\n')
    .map((line) => JSON.parse(line));
  if (header?.key !== 'header' || !header.value.summary) return failure(400, 'the header needs a summary');
  const head = repo.branches.get(branch!);
  if (head === undefined) return failure(404, `Invalid rev id: ${branch}`, 'RevisionNotFound');
  const { parentCommit, summary } = header.value;
  if (parentCommit !== undefined && parentCommit !== head)
    return failure(412, 'A commit has happened since. Please refresh and try again.');
  const changes = new Map<string, DoubleFile | undefined>();
  for (const { key, value } of operations) {
    if (key === 'file' && value.encoding === 'base64') {
      changes.set(value.path, {
        bytes: new Uint8Array(Buffer.from(value.content, 'base64')),
        lfs: undefined,
      });
    } else if (key === 'lfsFile') {
      const bytes = state.objects.get(value.oid);
      if (value.algo !== 'sha256' || bytes?.byteLength !== value.size)
        return failure(400, `LFS object ${value.oid} of ${value.size} bytes is not there`);
      changes.set(value.path, { bytes: bytes!, lfs: value.oid });
    } else if (key === 'deletedFile') {
      changes.set(value.path, undefined);
    } else {
      return failure(400, `unknown operation ${key}`);
    }
  }
  const isPullRequest = asked.url.searchParams.get('create_pr') === '1';
  const target = isPullRequest ? 'refs/pr/1' : branch!;
  if (isPullRequest) repo.branches.set(target, head);
  const { id } = addCommit(repo, target, summary, changes);
  return json({
    success: true,
    commitOid: id,
    commitUrl: `${state.url}/${repo.name}/commit/${id}`,
    hookOutput: '',
    ...(isPullRequest ? { pullRequestUrl: `${state.url}/${repo.name}/discussions/1` } : {}),
  });
}

/** A file of git as it is; of an LFS object where it lies, and what it is in headers. */
function resolveFile(state: HubState, asked: Asked, [name, revision, path]: string[]): Answer {
  const repo = visibleRepo(state, asked, name!);
  if (isAnswer(repo)) return repo;
  const found = findDoubleCommit(repo, revision!);
  if (found === undefined) return failure(404, `Invalid rev id: ${revision}`, 'RevisionNotFound');
  const file = found.files.get(path!);
  if (file === undefined) return failure(404, 'Entry not found', 'EntryNotFound');
  const { bytes, lfs } = file;
  if (lfs === undefined && state.redirects && !asked.url.searchParams.has('cached')) {
    const location = `${asked.url.pathname}?cached`;
    return { status: 307, headers: { location, 'x-repo-commit': found.id }, body: location };
  }
  if (lfs === undefined) {
    return ranged(asked, bytes, { etag: `"${gitHash(bytes)}"`, 'x-repo-commit': found.id });
  }
  return {
    status: 302,
    headers: {
      location: `${state.storageUrl}/${lfs}?signature=good`,
      'x-linked-etag': `"${lfs}"`,
      'x-linked-size': String(bytes.byteLength),
      'x-repo-commit': found.id,
      etag: `"${lfs}"`,
    },
    body: `Found. Redirecting to ${state.storageUrl}/${lfs}`,
  };
}

/** 200, or 206 for a range. */
export function ranged(asked: Asked, bytes: Uint8Array, headers: Record<string, string>): Answer {
  const range = /^bytes=(\d+)-(\d*)$/.exec(asked.headers.range ?? '');
  if (range === null) return { status: 200, headers: { 'accept-ranges': 'bytes', ...headers }, body: bytes };
  const first = Number(range[1]);
  const last = Math.min(range[2] === '' ? bytes.length : Number(range[2]), bytes.length - 1);
  if (first > last) return { status: 416, headers: { 'content-range': `bytes */${bytes.length}` } };
  const part = bytes.subarray(first, last + 1);
  return {
    status: 206,
    headers: { 'content-range': `bytes ${first}-${last}/${bytes.length}`, ...headers },
    body: part,
  };
}

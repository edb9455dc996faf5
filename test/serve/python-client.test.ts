/**
 * What Python's huggingface_hub 1.x asks, request by request, and every field that it reads from the answers: hf_api.py
 * (model_info, list_repo_tree, get_paths_info, list_repo_refs, list_repo_commits), file_download.py (get_hf_file_metadata,
 * http_get), utils/_http.py (hf_raise_for_status).
 */
import { describe, expect, test } from 'vitest';
import { gitHash, sha256 } from '../helpers/hub-repos.js';
import { askJson } from '../helpers/raw-http.js';
import { resolvePath, sharedModels, sharedServe } from '../helpers/serve-setting.js';

const models = sharedModels();
const served = sharedServe(() => ({ store: models.now.storePath }));

/** parse_datetime: "%Y-%m-%dT%H:%M:%S.%fZ". */
const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z$/;
const HEX_40 = /^[0-9a-f]{40}$/;
const date = expect.stringMatching(DATE);

/** What every request of it bears. */
const HEADERS = { 'user-agent': 'unknown/None; hf_hub/1.2.0; python/3.12.3', 'accept-encoding': 'identity' };
const json = <T>(path: string) => askJson<T>(served.now.url, path, { headers: HEADERS });
const weights = () => models.now.chat[2]!.files.get('model.safetensors')!;

interface TreeItem {
  readonly type: string;
  readonly path: string;
  readonly size: number;
  readonly oid: string;
  readonly lfs?: { readonly oid: string; readonly size: number; readonly pointerSize: number };
  readonly lastCommit?: { readonly id: string; readonly title: string; readonly date: string };
}

/** Fields that RepoFile and RepoFolder take; a folder is told by its type. */
function expectTreeItem({ type, path, size, oid, lfs }: TreeItem): void {
  expect(oid).toMatch(HEX_40);
  if (type === 'directory') return;
  expect(type).toBe('file');
  const bytes = models.now.chat[2]!.files.get(path)!;
  expect(size).toBe(bytes.byteLength);
  if (lfs === undefined) expect(oid).toBe(gitHash(bytes));
  else {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256(bytes)}\nsize ${size}\n`;
    expect(lfs).toEqual({ oid: sha256(bytes), size, pointerSize: pointer.length });
    expect(oid).toBe(gitHash(Buffer.from(pointer)));
  }
}

describe('hf_api.py', () => {
  test('model_info: what ModelInfo is made of', async () => {
    const info = await json<Record<string, unknown>>('/api/models/user/sharded');
    expect(info).toMatchObject({
      id: 'user/sharded',
      author: 'user',
      sha: models.now.models.get('user/sharded')!.commit,
      lastModified: date,
      createdAt: date,
      private: false,
      disabled: false,
      gated: false,
      downloads: expect.any(Number),
      likes: expect.any(Number),
      tags: expect.arrayContaining(['safetensors']),
    });
    const names = [...models.now.models.get('user/sharded')!.files.keys()];
    expect(info.siblings).toEqual(names.map((rfilename) => ({ rfilename })));
    expect(await json('/api/models/user%2Fsharded')).toEqual(info);
    expect(await json('/api/models/user/sharded/revision/main')).toEqual(info);
  });

  test('model_info(files_metadata=True): RepoSibling has size, blob_id and BlobLfsInfo', async () => {
    const { siblings } = await json<{ siblings: Record<string, unknown>[] }>(
      '/api/models/chat/revision/main?blobs=true',
    );
    for (const { rfilename, size, blobId, lfs } of siblings) {
      const bytes = models.now.chat[2]!.files.get(rfilename as string)!;
      expect(size).toBe(bytes.byteLength);
      expect(blobId).toMatch(HEX_40);
      if (rfilename !== 'model.safetensors') expect(lfs).toBeUndefined();
      else expect(lfs).toEqual({ size, sha256: sha256(bytes), pointerSize: expect.any(Number) });
    }
  });

  test('list_repo_tree: folders come before what is in them, every file is listed once', async () => {
    const items = await json<TreeItem[]>('/api/models/chat/tree/main?recursive=True&expand=False');
    for (const item of items) expectTreeItem(item);
    expect(items.map(({ path }) => path)).toEqual([
      'config.json',
      'empty.txt',
      'model.safetensors',
      'tokenizer',
      'tokenizer/notes',
      'tokenizer/notes/größe 1.txt',
      'tokenizer/vocab.txt',
    ]);
    const [first] = await json<TreeItem[]>(
      '/api/models/chat/tree/main/tokenizer?recursive=False&expand=True',
    );
    expect(first!.lastCommit).toEqual({ id: models.now.chat[2]!.commit, title: 'from 3', date });
  });

  test('list_repo_tree of more than a page goes on at the Link header', async () => {
    const paths: string[] = [];
    let path: string | undefined = '/api/models/chat/tree/main?recursive=True&expand=False&limit=3';
    for (let pages = 0; path !== undefined && pages < 9; pages++) {
      const { headers, body } = await served.now.ask(path, { headers: HEADERS });
      for (const item of JSON.parse(body.toString()) as TreeItem[]) paths.push(item.path);
      const next = /^<(.*)>; rel="next"$/.exec(`${headers.link ?? ''}`)?.[1];
      if (next !== undefined) expect(next.startsWith(served.now.url)).toBe(true);
      path = next?.slice(served.now.url.length);
    }
    expect(paths).toHaveLength(7);
    expect(new Set(paths).size).toBe(7);
  });

  test('get_paths_info: a form as requests sends it', async () => {
    const form = new URLSearchParams([
      ['paths', 'config.json'],
      ['paths', 'tokenizer/notes/größe 1.txt'],
      ['paths', 'tokenizer'],
      ['paths', 'none'],
      ['expand', 'True'],
    ]);
    const items = await askJson<TreeItem[]>(served.now.url, '/api/models/chat/paths-info/main', {
      method: 'POST',
      headers: { ...HEADERS, 'content-type': 'application/x-www-form-urlencoded' },
      body: form.toString(),
    });
    expect(items.map(({ path }) => path)).toEqual([
      'config.json',
      'tokenizer/notes/größe 1.txt',
      'tokenizer',
    ]);
    for (const item of items) {
      expectTreeItem(item);
      expect(item.lastCommit!.id).toBe(models.now.chat[2]!.commit);
    }
  });

  test('list_repo_refs: branches and tags with the commits that they point at', async () => {
    const [first, second, third] = models.now.chat.map(({ commit }) => commit);
    expect(await json('/api/models/chat/refs')).toEqual({
      branches: [{ name: 'main', ref: 'refs/heads/main', targetCommit: third }],
      tags: [
        { name: 'release/v2', ref: 'refs/tags/release/v2', targetCommit: second },
        { name: 'v1.0', ref: 'refs/tags/v1.0', targetCommit: first },
      ],
      converts: [],
    });
  });

  test('list_repo_commits: GitCommitInfo', async () => {
    const commits = await json<Record<string, unknown>[]>('/api/models/chat/commits/main');
    expect(commits.map(({ id }) => id)).toEqual(models.now.chat.map(({ commit }) => commit).reverse());
    for (const { title, message, date: when, authors } of commits) {
      expect([title, message]).toEqual([expect.stringMatching(/^from \d$/), 'more']);
      expect(when).toMatch(DATE);
      expect(authors).toEqual([]);
    }
  });
});

describe('file_download.py', () => {
  test('get_hf_file_metadata, then http_get: commit, etag and size of HEAD are those of what is downloaded', async () => {
    for (const [path, bytes] of models.now.chat[1]!.files) {
      const address = resolvePath('chat', 'release/v2', path);
      const head = await served.now.ask(address, { method: 'HEAD', headers: HEADERS });
      expect(head.status).toBe(200);
      expect(head.headers['x-repo-commit']).toBe(models.now.chat[1]!.commit);
      const isLarge = path.endsWith('.safetensors');
      const etag = `${head.headers['x-linked-etag'] ?? head.headers.etag}`.replaceAll('"', '');
      expect(etag).toBe(isLarge ? sha256(bytes) : gitHash(bytes));
      const size = head.headers['x-linked-size'] ?? head.headers['content-length'];
      expect(Number(size)).toBe(bytes.byteLength);
      // Compressed bodies would have another length.
      expect(head.headers['content-encoding']).toBeUndefined();
      const got = await served.now.ask(address, { headers: HEADERS });
      expect([got.status, got.body.equals(bytes)]).toEqual([200, true]);
    }
  });

  test('http_get goes on where a download ended, with an open range', async () => {
    const address = resolvePath('chat', 'main', 'model.safetensors');
    const bytes = weights();
    for (const at of [1, 5000, bytes.byteLength - 1]) {
      const headers = { ...HEADERS, range: `bytes=${at}-` };
      const { status, body, headers: found } = await served.now.ask(address, { headers });
      expect(status).toBe(206);
      expect(found['content-range']).toBe(`bytes ${at}-${bytes.byteLength - 1}/${bytes.byteLength}`);
      expect(Buffer.concat([bytes.subarray(0, at), body]).equals(bytes)).toBe(true);
    }
  });

  test('hf_raise_for_status: errors have the code that tells what is missing', async () => {
    const codeOf = async (path: string, method = 'HEAD') => {
      const { status, headers } = await served.now.ask(path, { method, headers: HEADERS });
      expect(status).toBe(404);
      expect(headers['x-error-message']).toMatch(/^[\x20-\x7e]+$/);
      return headers['x-error-code'];
    };
    expect(await codeOf('/none/resolve/main/config.json')).toBe('RepoNotFound');
    expect(await codeOf('/user/none/resolve/main/config.json')).toBe('RepoNotFound');
    expect(await codeOf('/api/models/none', 'GET')).toBe('RepoNotFound');
    expect(await codeOf('/api/datasets/chat', 'GET')).toBe('RepoNotFound');
    expect(await codeOf('/chat/resolve/v7/config.json')).toBe('RevisionNotFound');
    expect(await codeOf('/api/models/chat/revision/v7', 'GET')).toBe('RevisionNotFound');
    expect(await codeOf('/chat/resolve/main/größe.json'.replace('ö', '%C3%B6').replace('ß', '%C3%9F'))).toBe(
      'EntryNotFound',
    );
  });

  test('what this server has not of a model that it has is not taken for a missing model', async () => {
    for (const path of [
      '/chat/discussions',
      '/chat/blob/main/config.json',
      '/api/models/chat/discussions',
      '/api/models/chat/treesize/main',
      '/api/models/user/sharded/anything',
      '/user/sharded/anything/else',
      '/chat/commits/main/config.json',
    ]) {
      const { status, headers, body } = await served.now.ask(path, { headers: HEADERS });
      expect([path, status, headers['x-error-code']]).toEqual([path, 404, undefined]);
      expect(body.toString()).not.toContain('no model');
    }
    for (const path of ['/api/models/chat/none', '/chat/none', '/none/discussions', '/none/blob/main/x']) {
      const { status, headers } = await served.now.ask(path, { headers: HEADERS });
      expect([path, status, headers['x-error-code']]).toEqual([path, 404, 'RepoNotFound']);
    }
    for (const path of ['/chat/commits/none', '/api/models/chat/commits/none']) {
      const { status, headers } = await served.now.ask(path, { headers: HEADERS });
      expect([path, status, headers['x-error-code']]).toEqual([path, 404, 'RevisionNotFound']);
    }
    for (const path of ['/chat/commits', '/chat/commits/main', '/chat/commits/release/v2'])
      expect((await served.now.ask(path)).status, path).toBe(200);
  });

  test('whoami, auth_check: whoever may read', async () => {
    expect(await json('/api/whoami-v2')).toMatchObject({
      type: 'user',
      name: 'ere',
      orgs: [],
      auth: { accessToken: { role: 'read' } },
    });
    expect(await json('/api/models/chat/auth-check')).toEqual({});
    expect(await json('/api/models/user/sharded/auth-check')).toEqual({});
    const { headers } = await served.now.ask('/api/models/none/auth-check', { headers: HEADERS });
    expect(headers['x-error-code']).toBe('RepoNotFound');
  });

  test('limit=0 is none, and no page after it', async () => {
    const { headers, body } = await served.now.ask('/api/models?limit=0', { headers: HEADERS });
    expect(JSON.parse(body.toString())).toEqual([]);
    expect(headers.link).toBeUndefined();
  });

  test('links have the protocol of the first of several proxies', async () => {
    for (const [value, protocol] of [
      ['https', 'https'],
      ['HTTPS, http', 'https'],
      ['http, https', 'http'],
    ] as const) {
      const { headers } = await served.now.ask('/api/models?limit=1', {
        headers: { ...HEADERS, 'x-forwarded-proto': value },
      });
      expect(headers.link).toMatch(new RegExp(`^<${protocol}://`));
    }
  });

  test('a missing file has the commit that it is missing in: transformers remembers that it asked', async () => {
    const { headers } = await served.now.ask('/chat/resolve/v1.0/adapter_config.json', { method: 'HEAD' });
    expect(headers['x-repo-commit']).toBe(models.now.chat[0]!.commit);
  });
});

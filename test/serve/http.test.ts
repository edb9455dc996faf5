/** How the server speaks HTTP: HEAD, identities of files, connections that are kept, and how little it does for them. */
import { Agent } from 'node:http';
import { describe, expect, test } from 'vitest';
import { gitHash, sha256 } from '../helpers/hub-repos.js';
import { resolvePath, sharedModels, sharedServe, until, withServe } from '../helpers/serve-setting.js';

const models = sharedModels();
const served = sharedServe(() => ({ store: models.now.storePath }));
const weights = () => models.now.chat[2]!.files.get('model.safetensors')!;
const WEIGHTS = resolvePath('chat', 'main', 'model.safetensors');

describe('HEAD', () => {
  test('has the headers of GET and no body, for files, texts, pages and errors', async () => {
    const paths = [
      WEIGHTS,
      resolvePath('chat', 'main', 'config.json'),
      resolvePath('chat', 'main', 'model.safetensors', 'raw'),
      resolvePath('chat', 'main', 'none'),
      '/api/models/chat',
      '/api/models',
      '/',
    ];
    for (const path of paths) {
      const head = await served.now.ask(path, { method: 'HEAD' });
      const got = await served.now.ask(path);
      const { 'x-request-id': _a, date: _b, ...headers } = head.headers;
      const { 'x-request-id': _c, date: _d, ...wanted } = got.headers;
      expect(headers, path).toEqual(wanted);
      expect([head.status, head.body.byteLength]).toEqual([got.status, 0]);
      expect(got.headers['content-length']).toBe(String(got.body.byteLength));
    }
  });

  test('rebuilds nothing, and neither does a range of the header, or of what the client has', async () => {
    await withServe({ store: models.now.storePath }, async ({ ask, metric }) => {
      const { etag } = (await ask(WEIGHTS, { method: 'HEAD' })).headers;
      await ask(WEIGHTS, { headers: { range: 'bytes=0-99' } });
      await ask(WEIGHTS, { headers: { 'if-none-match': etag! } });
      await ask('/api/models/chat/tree/main?recursive=true');
      expect(await metric('ere_cache_misses_total')).toBe(0);
      expect(await metric('ere_rebuilt_bytes_total')).toBe(0);
    });
  });

  test('a range costs the tensors that it is in, once', async () => {
    await withServe({ store: models.now.storePath }, async ({ ask, metric }) => {
      const bytes = weights();
      const dataOffset = 8 + Number(bytes.readBigUInt64LE());
      const header = JSON.parse(bytes.subarray(8, dataOffset).toString());
      const [start, end] = header.norm.data_offsets.map((offset: number) => dataOffset + offset);
      for (let i = 0; i < 3; i++) {
        const { body } = await ask(WEIGHTS, { headers: { range: `bytes=${start + 4}-${end - 5}` } });
        expect(body.equals(bytes.subarray(start + 4, end - 4))).toBe(true);
      }
      expect(await metric('ere_rebuilt_bytes_total')).toBe(end - start);
      expect(await metric('ere_cache_misses_total')).toBe(1);
      expect(await metric('ere_cache_hits_total')).toBe(2);
    });
  });
});

describe('what a file is told to be', () => {
  test('the ETag of a file is one for all revisions in which it is the same, and another where it differs', async () => {
    const etags = async (path: string) =>
      Promise.all(
        ['v1.0', 'release/v2', 'main'].map(
          async (revision) =>
            (await served.now.ask(resolvePath('chat', revision, path), { method: 'HEAD' })).headers.etag,
        ),
      );
    expect(new Set(await etags('tokenizer/vocab.txt')).size).toBe(1);
    expect(new Set(await etags('config.json')).size).toBe(3);
    expect(new Set(await etags('model.safetensors')).size).toBe(3);
    for (const etag of await etags('config.json')) expect(etag).toMatch(/^"[0-9a-f]{40}"$/);
  });

  test('raw gives the pointer of a large file, whose git hash the tree has, and small files as they are', async () => {
    const tree = JSON.parse((await served.now.ask('/api/models/chat/tree/main')).body.toString());
    const entry = tree.find(({ path }: { path: string }) => path === 'model.safetensors');
    const pointer = await served.now.ask(resolvePath('chat', 'main', 'model.safetensors', 'raw'));
    expect(gitHash(pointer.body)).toBe(entry.oid);
    expect(pointer.headers.etag).toBe(`"${entry.oid}"`);
    expect(entry.lfs.pointerSize).toBe(pointer.body.byteLength);
    expect(sha256(weights())).toBe(entry.lfs.oid);
    const config = await served.now.ask(resolvePath('chat', 'main', 'config.json', 'raw'));
    expect(config.body.toString()).toBe('{"step":3}\n');
  });

  test('an imported model has no digest of the whole: its ETag has 40 digits, and it is downloaded right', async () => {
    const address = resolvePath('user/imported', 'main', 'model.safetensors');
    const { headers, body } = await served.now.ask(address);
    expect(headers.etag).toMatch(/^"[0-9a-f]{40}"$/);
    expect(headers['x-linked-etag']).toBeUndefined();
    expect(body.equals(models.now.chat[0]!.files.get('model.safetensors')!)).toBe(true);
    const raw = await served.now.ask(resolvePath('user/imported', 'main', 'model.safetensors', 'raw'));
    expect(raw.body.equals(body)).toBe(true);
  });

  test('files cannot run in a browser: no HTML, no sniffing, no scripts', async () => {
    for (const path of ['config.json', 'tokenizer/vocab.txt', 'model.safetensors']) {
      const { headers } = await served.now.ask(resolvePath('chat', 'main', path));
      expect(headers['content-type']).toMatch(/^(?:application\/json|text\/plain|application\/octet-stream)/);
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['content-security-policy']).toContain('sandbox');
    }
    const { headers } = await served.now.ask(resolvePath('chat', 'main', 'tokenizer/notes/größe 1.txt'));
    expect(headers['content-disposition']).toBe("inline; filename*=UTF-8''gr%C3%B6%C3%9Fe%201.txt");
  });
});

test('a connection is kept for many requests, downloads and refusals among them', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let created = 0;
  const create = agent.createConnection.bind(agent);
  agent.createConnection = (...values: Parameters<typeof create>) => {
    created++;
    return create(...values);
  };
  try {
    const options = { agent };
    for (const path of ['/healthz', WEIGHTS, '/none', '/api/models', WEIGHTS])
      await served.now.ask(path, options);
    await served.now.ask(WEIGHTS, { ...options, method: 'HEAD' });
    await served.now.ask(WEIGHTS, { ...options, method: 'PUT', body: 'x' });
    expect((await served.now.ask(WEIGHTS, options)).body.equals(weights())).toBe(true);
    expect(created).toBe(1);
  } finally {
    agent.destroy();
  }
});

test('every request is logged with its bytes, and what was sent whole is told from what was not', async () => {
  await withServe({ store: models.now.storePath }, async ({ ask, logs }) => {
    const { headers } = await ask(WEIGHTS);
    await ask(WEIGHTS, { method: 'HEAD' });
    await ask('/none');
    await until('three records', () => logs.length === 3);
    const common = { level: 'info', event: 'request', client: '127.0.0.1', isComplete: true };
    expect(logs).toMatchObject([
      {
        ...common,
        method: 'GET',
        path: WEIGHTS,
        status: 200,
        byteLength: weights().byteLength,
        id: headers['x-request-id'],
      },
      { ...common, method: 'HEAD', status: 200, byteLength: 0 },
      { ...common, path: '/none', status: 404, error: 'no model "none"' },
    ]);
    for (const { time } of logs) expect(Math.abs(Date.parse(time) - Date.now())).toBeLessThan(60_000);
  });
});

test('metrics are counters and gauges with a help text, and paths that clients choose are no labels', async () => {
  await withServe({ store: models.now.storePath }, async ({ ask }) => {
    await ask(WEIGHTS);
    await ask('/secret-name/resolve/main/x');
    const { body, headers } = await ask('/metrics');
    const text = body.toString();
    expect(headers['content-type']).toContain('text/plain');
    expect(text).toContain('ere_http_requests_total{method="GET",route="file",status="200"} 1');
    expect(text).toContain('ere_http_requests_total{method="GET",route="file",status="404"} 1');
    expect(text).toMatch(/^ere_http_connections 1$/m);
    expect(text).toMatch(/^# HELP ere_cache_bytes \S/m);
    expect(text).not.toContain('secret-name');
  });
});

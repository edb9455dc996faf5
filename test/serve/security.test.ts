/** What a client may not do: leave what is served, read without a token, learn of this machine, or take its memory. */
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { askRaw, requestText } from '../helpers/raw-http.js';
import {
  resolvePath,
  restoredModels,
  sharedModels,
  sharedServe,
  TOKEN,
  until,
  withServe,
} from '../helpers/serve-setting.js';

const models = sharedModels();
const withModels = restoredModels();
const served = sharedServe(() => ({ store: models.now.storePath }));
const archived = sharedServe(() => ({ archives: models.now.archives, bases: [models.now.base] }));
const WEIGHTS = resolvePath('chat', 'main', 'model.safetensors');
const basic = (password: string) => `Basic ${Buffer.from(`anyone:${password}`).toString('base64')}`;

describe('addresses lead nowhere but to what is served', () => {
  const UPWARD = [
    '..',
    '%2e%2e',
    '..%2f..',
    '%2e%2e%2f%2e%2e%2fetc',
    '..%5c..',
    '.',
    '%00',
    '%252e%252e',
    '...',
    '~',
  ];
  const targets = UPWARD.flatMap((up) => [
    `/${up}/etc/passwd`,
    `/${up}/resolve/main/config.json`,
    `/chat/resolve/main/${up}/config.json`,
    `/chat/resolve/main/tokenizer/${up}/config.json`,
    `/chat/resolve/${up}/config.json`,
    `/chat/raw/main/${up}`,
    `/api/models/${up}`,
    `/api/models/chat/tree/main/${up}`,
    `/api/models/chat/revision/${up}`,
  ]);

  test.each([
    '/chat/resolve/main//etc/passwd',
    '//etc/passwd',
    '/chat/resolve/main/%2fetc%2fpasswd',
    ...targets,
  ])('%s is 404', async (path) => {
    for (const { now } of [served, archived]) {
      const { status, body } = await now.ask(path);
      expect(status, body.toString()).toBe(404);
    }
  });

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    'the name %s, which every object has, is that of no model, revision, file or folder',
    async (name) => {
      const paths = [
        `/api/models/${name}`,
        `/api/models/chat/revision/${name}`,
        `/api/models/chat/tree/main/${name}`,
        `/api/${name}`,
        `/chat/resolve/main/${name}`,
        `/chat/resolve/${name}/config.json`,
        `/${name}/resolve/main/config.json`,
        `/${name}`,
      ];
      for (const { now } of [served, archived]) {
        for (const path of paths) expect((await now.ask(path)).status, path).toBe(404);
        const info = await now.ask('/api/models/chat/paths-info/main', {
          method: 'POST',
          body: `{"paths":["${name}"],"__proto__":{"expand":true}}`,
        });
        expect([info.status, info.body.toString()]).toEqual([200, '[]']);
      }
    },
  );

  test.each(['/%', '/chat/resolve/main/%zz', '/%c3%28', '/chat/%f'])(
    '%s, which is no percent-encoded UTF-8, is 400',
    async (path) => {
      expect((await served.now.ask(path)).status).toBe(400);
    },
  );

  test('a target that is no path is 400', async () => {
    expect(
      await askRaw(served.now.url, 'OPTIONS * HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n'),
    ).toMatch(/^HTTP\/1.1 400 /);
    const absolute = 'GET http://localhost/chat HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n';
    expect(await askRaw(served.now.url, absolute)).toMatch(/^HTTP\/1.1 400 /);
  });
});

describe('floods are cut short', () => {
  test('an address of more than 4096 characters is 414', async () => {
    expect((await served.now.ask(`/${'a'.repeat(4096)}`)).status).toBe(414);
    expect((await served.now.ask(`/${'a'.repeat(4095)}`)).status).toBe(404);
  });

  test('headers of more than 16 KiB are 431, and the server goes on', async () => {
    const flood = requestText('/', { 'x-flood': 'a'.repeat(20_000), connection: 'close' });
    expect(await askRaw(served.now.url, flood)).toMatch(/^HTTP\/1.1 431 /);
    expect((await served.now.ask('/healthz')).status).toBe(200);
  });

  test('what is no HTTP is 400', async () => {
    expect(await askRaw(served.now.url, 'hello\r\n\r\n')).toMatch(/^HTTP\/1.1 400 /);
  });

  test('paths-info takes a body of at most a mebibyte, announced or not', async () => {
    const path = '/api/models/chat/paths-info/main';
    const body = JSON.stringify({ paths: ['x'.repeat(2 ** 20)] });
    const announced = await served.now.ask(path, {
      method: 'POST',
      body,
      headers: { 'content-length': body.length },
    });
    expect(announced.status).toBe(413);
    const chunked = { 'transfer-encoding': 'chunked' };
    const streamed = await served.now.ask(path, { method: 'POST', body, headers: chunked });
    expect(streamed.status).toBe(413);
    expect((await served.now.ask('/healthz')).status).toBe(200);
  });

  test.each(['', '{', 'null', '[]', '7', '{"paths":{}}', '{"paths":[1]}', '{"paths":[null]}', '\u0000'])(
    'paths-info with the body %j is 400',
    async (body) => {
      const { status } = await served.now.ask('/api/models/chat/paths-info/main', { method: 'POST', body });
      expect(status).toBe(400);
    },
  );

  test('bad numbers of pages are 400', async () => {
    for (const query of ['limit=-1', 'limit=x', 'cursor=1e9', 'cursor=99999999999999999999']) {
      expect((await served.now.ask(`/api/models?${query}`)).status, query).toBe(400);
    }
    expect((await served.now.ask('/api/models?cursor=999999999')).body.toString()).toBe('[]');
  });

  test('requests that come before the one in front is answered are few, and wait for their turn', async () => {
    await withServe({ store: models.now.storePath }, async ({ url, metric }) => {
      const few = requestText('/healthz').repeat(3) + requestText('/healthz', { connection: 'close' });
      expect((await askRaw(url, few)).match(/HTTP\/1.1 200 OK/g)).toHaveLength(4);
      const answers = await askRaw(url, requestText(WEIGHTS).repeat(500));
      expect((answers.match(/HTTP\/1.1 200 OK/g) ?? []).length).toBeLessThan(20);
      expect(await metric('ere_http_connections')).toBe(1);
    });
  });
});

describe('nothing can be changed', () => {
  test.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])(
    '%s is 405, and what is allowed is told',
    async (method) => {
      for (const path of [
        '/',
        WEIGHTS,
        '/api/models/chat',
        '/api/repos/create',
        '/api/models/chat/commit/main',
        '/healthz',
      ]) {
        const { status, headers } = await served.now.ask(path, {
          method,
          body: /^P/.test(method) ? '{}' : '',
        });
        expect([path, status, headers.allow]).toEqual([path, 405, 'GET, HEAD']);
      }
    },
  );
});

describe('tokens', () => {
  const SECOND = 'another-token-of-somebody';

  test('Bearer and Basic with any of the tokens give access; nothing else does', async () => {
    await withServe({ store: models.now.storePath, tokens: [TOKEN, SECOND] }, async ({ ask, logs }) => {
      for (const authorization of [`Bearer ${TOKEN}`, `bearer ${SECOND}`, basic(TOKEN), basic(SECOND)]) {
        for (const path of ['/', '/api/models', WEIGHTS, '/metrics'])
          expect((await ask(path, { headers: { authorization } })).status, path).toBe(200);
      }
      const wrong = [
        undefined,
        '',
        'Bearer',
        'Bearer ',
        `Bearer ${TOKEN}x`,
        `Bearer ${TOKEN.slice(1)}`,
        `Bearer ${TOKEN.toUpperCase()}`,
        `Token ${TOKEN}`,
        TOKEN,
        basic(''),
        basic(`${TOKEN} `),
        `Basic ${TOKEN}`,
      ];
      for (const authorization of wrong) {
        for (const path of ['/', '/api/models', WEIGHTS, '/metrics', '/none', '/%']) {
          const options = { headers: authorization === undefined ? {} : { authorization } };
          const { status, headers, body } = await ask(path, options);
          if (path === '/%') expect(status).toBe(400);
          else {
            expect([authorization, path, status]).toEqual([authorization, path, 401]);
            expect(headers['www-authenticate']).toMatch(/^Bearer .*Basic /);
            expect(body.toString()).not.toContain('chat');
          }
        }
      }
      expect((await ask('/healthz')).status).toBe(200);
      expect((await ask(WEIGHTS, { method: 'PUT' })).status).toBe(401);
      const written = JSON.stringify(logs);
      for (const secret of [TOKEN, SECOND, basic(TOKEN).slice(6)]) expect(written).not.toContain(secret);
    });
  });

  test('a name that is not known is welcome with a token', async () => {
    await withServe({ store: models.now.storePath, tokens: [TOKEN] }, async ({ ask }) => {
      const headers = { authorization: `Bearer ${TOKEN}`, host: 'models.example.org' };
      expect((await ask('/api/models', { headers })).status).toBe(200);
    });
  });

  test.each(['', 'short', 'with blank in the middle of it', 'ümlaut-ümlaut-ümlaut', `${'a'.repeat(20)}\n`])(
    'the token %j is refused at the start, and not repeated',
    async (token) => {
      const error = await withServe(
        { store: models.now.storePath, tokens: [TOKEN, token] },
        async () => {},
      ).then(
        () => expect.fail('expected an error'),
        (thrown) => thrown,
      );
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toContain('at least 16');
      if (token !== '') expect(error.message).not.toContain(token);
    },
  );
});

describe('without a token the server answers to its address alone', () => {
  test.each([
    'evil.example',
    'evil.example:8080',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'user@localhost',
  ])('asked by the name %j it is 421, but for /healthz', async (host) => {
    expect((await served.now.ask('/api/models', { headers: { host } })).status).toBe(421);
    expect((await served.now.ask(WEIGHTS, { headers: { host } })).status).toBe(421);
    expect((await served.now.ask('/healthz', { headers: { host } })).status).toBe(200);
  });

  test.each(['localhost', 'LocalHost:80', '127.0.0.1:9', '10.1.2.3', '[::1]', '[::1]:8080', '[fe80::1]:1'])(
    'asked by %s it answers',
    async (host) => {
      expect((await served.now.ask('/api/models', { headers: { host } })).status).toBe(200);
    },
  );

  test('asked by no name it is 421', async () => {
    expect(await askRaw(served.now.url, 'GET /chat HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1.1 421 /);
    expect(await askRaw(served.now.url, requestText('/chat', { host: '', connection: 'close' }))).toMatch(
      /^HTTP\/1.1 421 /,
    );
  });

  test('names that are allowed are answered to, in any case', async () => {
    await withServe({ store: models.now.storePath, allowedHosts: ['Models.Example'] }, async ({ ask }) => {
      expect((await ask('/api/models', { headers: { host: 'models.example:80' } })).status).toBe(200);
      expect((await ask('/api/models', { headers: { host: 'other.example' } })).status).toBe(421);
    });
  });

  test('a Host that is no name does not come back in links', async () => {
    await withServe({ store: models.now.storePath, tokens: [TOKEN] }, async ({ ask, url }) => {
      const headers = { authorization: `Bearer ${TOKEN}`, host: 'x">; rel="evil' };
      const found = await ask('/api/models?limit=1', { headers });
      expect(found.headers.link).toBe(`<${url}/api/models?limit=1&cursor=1>; rel="next"`);
    });
  });
});

test('no answer names a path of this machine, whatever is missing or damaged; the log does', async () => {
  await withModels(async ({ base, storePath, archives }, folder) => {
    await writeFile(join(base, 'model.safetensors'), 'damaged');
    await writeFile(join(archives, 'broken.ere'), 'ERE');
    const paths = [
      WEIGHTS,
      resolvePath('user/sharded', 'main', 'config.json'),
      '/api/models/chat',
      '/api/models/chat/tree/main',
    ];
    const expectDiscreet = async (options: Parameters<typeof withServe>[0]) =>
      withServe(options, async ({ ask, logs }) => {
        const statuses = new Set<number>();
        for (const path of [...paths, '/api/models', '/', '/broken', '/chat']) {
          const { status, headers, body } = await ask(path).catch(() => ({
            status: 0,
            headers: {},
            body: '',
          }));
          statuses.add(status);
          expect(JSON.stringify(headers) + body, path).not.toContain(folder);
          if (status === 500)
            expect(`${body}`).toContain((headers as Record<string, string>)['x-request-id']);
        }
        expect([...statuses].some((status) => status === 500 || status === 0)).toBe(true);
        await until('logged', () => logs.some((record) => JSON.stringify(record).includes(folder)));
        expect(logs.filter(({ level }) => level === 'error').length).toBeGreaterThan(0);
      });
    await expectDiscreet({ store: storePath });
    await expectDiscreet({ archives, bases: [base] });
    await rename(base, join(folder, 'moved'));
    await expectDiscreet({ store: storePath });
    await expectDiscreet({ archives, bases: [base] });
    await rename(join(folder, 'moved'), base);
  });
});

/** The registry of docs/guide/library.md works as it is written there, under plain node:http and mounted as in Express. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test, vi } from 'vitest';
import { matrixPair } from '../helpers/models.js';
import { PROJECT_ROOT } from '../helpers/project.js';
import { safetensorsBytes } from '../helpers/safetensors-bytes.js';
import { runModel, type StoreFixture, storeFiles, withStore } from '../helpers/stores.js';
import { listTree } from '../helpers/temp-folder.js';

/** Added to the server of the guide: the handler mounted under a path, and the ports of both. */
const MOUNTED = `
const mounted = createServer((request, response) => {
  request.url = request.url.replace(/^\\/registry/, '');
  handle(request, response, next(response));
});
mounted.listen(0, '127.0.0.1', () => console.log(server.address().port, mounted.address().port));
`;

const MAX_BYTE_LENGTH = 1 << 20;

interface Served extends StoreFixture {
  readonly url: string;
  readonly mountedUrl: string;
  readonly uploads: string;
}

async function codeBlock(name: string): Promise<string> {
  const guide = await readFile(join(PROJECT_ROOT, 'docs/guide/library.md'), 'utf8');
  const block = new RegExp(`<!-- ${name} -->\\n\`\`\`js\\n([^]*?)\`\`\``).exec(guide);
  expect(block, `a block "${name}" in the guide`).not.toBeNull();
  return block![1]!;
}

/** Runs the guide's server over a store with the base "tiny", where `ere` is installed. */
async function withRegistry(use: (served: Served) => Promise<void>): Promise<void> {
  await withStore(async (fixture) => {
    const folder = join(fixture.folder, 'registry');
    const uploads = join(folder, 'uploads');
    await mkdir(uploads, { recursive: true });
    await mkdir(join(folder, 'node_modules'));
    await symlink(PROJECT_ROOT, join(folder, 'node_modules', 'ere'));
    await symlink(fixture.storePath, join(folder, 'models.ere-store'));
    const server = (await codeBlock('registry-server'))
      .replace("uploads: '.'", "uploads: 'uploads'")
      .replace('20e9', String(MAX_BYTE_LENGTH));
    await writeFile(join(folder, 'registry.mjs'), await codeBlock('registry'));
    await writeFile(join(folder, 'server.mjs'), server + MOUNTED);
    const child = spawn(process.execPath, ['server.mjs'], {
      cwd: folder,
      env: { ...process.env, PORT: '0' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const ports = (await firstLine(child)).split(' ').map(Number);
      const [url, mounted] = ports.map((port) => `http://127.0.0.1:${port}`);
      await use({ ...fixture, url: url!, mountedUrl: `${mounted}/registry`, uploads });
      expect(child.exitCode, 'the server still runs').toBeNull();
      await vi.waitFor(async () => expect(await readdir(uploads)).toEqual([]));
    } finally {
      child.kill();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
  });
}

async function firstLine(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout! })) return line;
  throw new Error('the server ended');
}

const stepBytes = (step: number): Uint8Array<ArrayBuffer> =>
  new Uint8Array(safetensorsBytes(runModel(step).tensors));

function put(url: string, body: Uint8Array<ArrayBuffer>): Promise<Response> {
  return fetch(url, { method: 'PUT', body });
}

test('the handler takes at most 60 lines', async () => {
  expect((await codeBlock('registry')).trimEnd().split('\n').length).toBeLessThanOrEqual(60);
});

test('a fine-tune goes up, is listed, and comes down as it was', async () => {
  await withRegistry(async ({ url, mountedUrl, store }) => {
    const bytes = stepBytes(1);
    const uploaded = await put(`${url}/models/chat?base=tiny&message=nightly`, bytes);
    expect(uploaded.status).toBe(201);
    const { version, ratio } = (await uploaded.json()) as Awaited<ReturnType<typeof store.put>>;
    expect(version).toMatchObject({ model: 'chat', message: 'nightly', relativeError: 0 });
    expect(ratio).toBeLessThan(1);

    for (const at of [url, mountedUrl]) {
      expect(await (await fetch(`${at}/models`)).json()).toContainEqual({
        kind: 'model',
        name: 'chat',
        id: version.id,
      });
      expect(await (await fetch(`${at}/models/chat`)).json()).toEqual({
        version,
        files: [{ path: 'model.safetensors', byteLength: bytes.byteLength, kind: 'weights' }],
      });
      const file = `${at}/models/chat/model.safetensors`;
      const answer = await fetch(file);
      expect(answer.status).toBe(200);
      expect(answer.headers.get('content-length')).toBe(String(bytes.byteLength));
      const etag = answer.headers.get('etag')!;
      expect(etag).toBe(`"${version.id}"`);
      expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
      expect((await fetch(file, { headers: { 'if-none-match': etag } })).status).toBe(304);
      const head = await fetch(file, { method: 'HEAD' });
      expect([head.status, head.headers.get('content-length')]).toEqual([200, String(bytes.byteLength)]);
    }

    const named = await put(`${mountedUrl}/models/team/chat`, stepBytes(2));
    expect(named.status).toBe(201);
    const slashed = await fetch(`${url}/models/team%2Fchat/model.safetensors`);
    expect(Buffer.from(await slashed.arrayBuffer()).equals(stepBytes(2))).toBe(true);
  });
});

test('what is wrong is refused with its code, and nothing is stored', async () => {
  await withRegistry(async ({ url, storePath }) => {
    const before = await storeFiles(storePath);
    const refuses = async (answer: Promise<Response>, status: number, code: string) => {
      const found = await answer;
      expect([found.status, ((await found.json()) as { code: string }).code]).toEqual([status, code]);
    };
    const unrelated = matrixPair('layers.0.weight', [64, 48], 77).base;
    const body = new Uint8Array(safetensorsBytes([unrelated]));
    await refuses(put(`${url}/models/chat?base=tiny`, body), 422, 'ERE_CHECKPOINT_MISMATCH');
    await refuses(put(`${url}/models/chat`, body), 422, 'ERE_CHECKPOINT_MISMATCH');
    await refuses(put(`${url}/models/chat?base=other`, stepBytes(1)), 404, 'ERE_NOT_FOUND');
    await refuses(put(`${url}/models/chat?base=tiny`, stepBytes(1).subarray(0, 999)), 400, 'ERE_FORMAT');
    await refuses(put(`${url}/models/chat`, new Uint8Array(MAX_BYTE_LENGTH + 1)), 413, 'ERE_LIMIT');
    await refuses(put(`${url}/models/..%2Fx?base=tiny`, stepBytes(1)), 400, 'RangeError');
    await refuses(put(`${url}/models`, stepBytes(1)), 400, 'RangeError');
    await refuses(fetch(`${url}/models/chat`), 404, 'ERE_NOT_FOUND');
    await refuses(fetch(`${url}/models/%ff`), 400, 'URIError');
    expect(await storeFiles(storePath)).toEqual(before);

    const answers = [fetch(`${url}/other`), fetch(`${url}/models/chat`, { method: 'DELETE' })];
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([404, 404]);
  });
});

test('an upload that is broken off leaves nothing', async () => {
  await withRegistry(async ({ url, uploads, storePath }) => {
    const before = await storeFiles(storePath);
    const bytes = stepBytes(1);
    const upload = request(`${url}/models/chat?base=tiny`, {
      method: 'PUT',
      headers: { 'content-length': bytes.byteLength },
    });
    upload.on('error', () => {});
    upload.write(bytes.subarray(0, 5000));
    await vi.waitFor(async () => {
      const [path] = await listTree(uploads);
      expect((await stat(join(uploads, path!))).size).toBe(5000);
    });
    upload.destroy();
    await vi.waitFor(async () => expect(await readdir(uploads)).toEqual([]));
    expect(await storeFiles(storePath)).toEqual(before);
  });
});

test('of two uploads to one model at once each is stored, or told to come again', async () => {
  await withRegistry(async ({ url, store }) => {
    const answers = await Promise.all([1, 2].map((step) => put(`${url}/models/chat`, stepBytes(step))));
    const statuses = answers.map(({ status }) => status).sort();
    expect([
      [201, 201],
      [201, 409],
    ]).toContainEqual(statuses);
    expect(await store.log({ ref: 'chat' })).toHaveLength(statuses.filter((status) => status === 201).length);
    expect((await store.fsck({ full: true, threads: 1 })).problems).toEqual([]);
  });
});

test('a download that the client leaves ends, and one that meets damage is cut off', async () => {
  await withRegistry(async ({ url, store, storePath }) => {
    const bytes = stepBytes(1);
    await put(`${url}/models/chat`, bytes);
    const file = `${url}/models/chat/model.safetensors`;
    for (let i = 0; i < 5; i++) {
      const controller = new AbortController();
      await fetch(file, { signal: controller.signal });
      controller.abort();
    }
    expect(Buffer.from(await (await fetch(file)).arrayBuffer()).equals(bytes)).toBe(true);

    const { tensors } = await store.show('chat');
    expect(tensors.some(({ isBase }) => isBase)).toBe(true);
    const paths = (await listTree(join(storePath, 'objects'))).map((path) =>
      join(storePath, 'objects', path),
    );
    const sized = await Promise.all(paths.map(async (path) => ({ path, size: (await stat(path)).size })));
    const { path } = sized.sort((x, y) => y.size - x.size)[0]!;
    const object = await readFile(path);
    object[object.byteLength >> 1]! ^= 1;
    await writeFile(path, object);
    const damaged = fetch(file).then((answer) => answer.arrayBuffer());
    await expect(damaged).rejects.toThrow();
    expect((await fetch(`${url}/models`)).status).toBe(200);
  });
});

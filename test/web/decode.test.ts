/** decode of ere/web gives the bytes that decode gives, of the bundle and of its source, over HTTP and from files. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decode as decodeInNode, encode } from '../../src/index.js';
import * as source from '../../src/web/index.js';
import { digestOf } from '../helpers/archive-builder.js';
import { GOLDEN_ARCHIVES, goldenPath } from '../helpers/golden.js';
import { type StaticServer, serveFolder } from '../helpers/static-server.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { tinylm } from '../helpers/tinylm.js';
import { loadBundle } from './bundle.js';

const golden = goldenPath('..', 'v1');
let server: StaticServer;
beforeAll(async () => {
  server = await serveFolder(golden);
});
afterAll(() => server.close());

async function digestOfStream(stream: ReadableStream<Uint8Array>): Promise<string> {
  return digestOf(new Uint8Array(await new Response(stream as BodyInit).arrayBuffer()));
}

async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

const PATHS = [
  ['the bundle', loadBundle],
  ['its source', async () => source],
] as const;

describe.each(PATHS)('%s', (_, load) => {
  test.each(GOLDEN_ARCHIVES)('$name decodes to its digests by range requests', async ({ name, files }) => {
    const web = await load();
    const archive = await web.openArchive(`${server.url}/${name}/archive.ere`);
    for (const { path, byteLength } of archive.index.files) {
      const base = `${server.url}/${name}/base/model.safetensors`;
      const bytes = new Uint8Array(
        await new Response(web.decodeFile({ archive, base, path }) as BodyInit).arrayBuffer(),
      );
      expect(bytes.byteLength).toBe(byteLength);
      expect(digestOf(bytes)).toBe(`sha256:${files[path]}`);
    }
  });
});

test('a real fine-tune: by URL and from files the same as in Node', async () => {
  await withTempFolder(async (folder) => {
    const output = join(folder, 'a.ere');
    const base = tinylm('base');
    const budget = { kind: 'rank', rank: 2 } as const;
    await encode(tinylm('python'), { base, output, budget, effort: 'fast', gemm: 'wasm' });
    const path = join(folder, 'out.safetensors');
    await decodeInNode(output, { base, output: path });
    const digest = digestOf(await readFile(path));

    const files = await serveFolder(folder);
    const bases = await serveFolder(base);
    try {
      const web = await loadBundle();
      const archive = await web.openArchive(new URL(`${files.url}/a.ere`));
      const url = `${bases.url}/model.safetensors`;
      expect(await digestOfStream(web.decodeFile({ archive, base: url }))).toBe(digest);

      // One tensor: its own bytes of the base, and small reads around them.
      const tensor = archive.index.tensors.find(({ shape }) => shape[0] === 256 && shape.length === 2)!;
      bases.requests.length = 0;
      await collect(web.decode({ archive, base: url, tensors: [tensor.name] }));
      const byteLengths = bases.requests.map((request) => {
        const [first, last] = request
          .slice(request.indexOf('=') + 1)
          .split('-')
          .map(Number);
        return last! - first! + 1;
      });
      const tensorByteLength = 2 * tensor.shape[0]! * tensor.shape[1]!;
      expect(byteLengths.reduce((sum, byteLength) => sum + byteLength, 0)).toBeLessThanOrEqual(
        tensorByteLength + 3 * 65_536,
      );

      const chosen = new File([await readFile(join(base, 'model.safetensors'))], 'model.safetensors');
      const blob = await web.openArchive(new Blob([await readFile(output)]));
      expect(await digestOfStream(web.decodeFile({ archive: blob, base: chosen }))).toBe(digest);
    } finally {
      await Promise.all([files.close(), bases.close()]);
    }
  });
});

test('lossy quality leaves exact terms on top out', async () => {
  await withTempFolder(async (folder) => {
    const path = join(folder, 'out.safetensors');
    const [file, base] = ['archive.ere', 'base/model.safetensors'].map((part) =>
      goldenPath('merged-on-top', part),
    );
    await decodeInNode(file!, { base: base!, output: path, quality: 'lossy' });
    const archive = await source.openArchive(`${server.url}/merged-on-top/archive.ere`);
    const stream = source.decodeFile({
      archive,
      base: `${server.url}/merged-on-top/base/model.safetensors`,
      quality: 'lossy',
    });
    expect(await digestOfStream(stream)).toBe(digestOf(await readFile(path)));
  });
});

describe('decode', () => {
  const url = (path: string) => `${server.url}/every-case/${path}`;

  test('one tensor comes alone, and says how far it is', async () => {
    const archive = await source.openArchive(url('archive.ere'));
    const { name, dtype, shape } = archive.index.tensors[3]!;
    const progress: source.Progress[] = [];
    const options = {
      archive,
      base: url('base/model.safetensors'),
      onProgress: progress.push.bind(progress),
    };
    const tensors = await collect(source.decode({ ...options, tensors: [name] }));
    expect(tensors).toEqual([expect.objectContaining({ name, dtype, shape })]);
    const { byteLength } = tensors[0]!.bytes;
    expect(progress).toEqual([
      { phase: 'decode', tensor: name, doneByteLength: byteLength, totalByteLength: byteLength },
    ]);
  });

  test('an open base and bytes of your own are taken as well', async () => {
    const bytes = async (path: string) =>
      source.bytesSource(path, await readFile(goldenPath('every-case', path)));
    const archive = await source.openArchive(await bytes('archive.ere'));
    const base = await source.openBase(await bytes('base/model.safetensors'));
    let count = 0;
    for await (const tensor of source.decode({ archive, base })) {
      expect(digestOf(tensor.bytes)).toBe(archive.index.tensors[count]!.digest);
      count++;
    }
    expect(count).toBe(archive.index.tensors.length);
  });

  test('a sharded base is found from its index', async () => {
    await withTempFolder(async (folder) => {
      const output = join(folder, 'model');
      await decodeInNode(goldenPath('every-case', 'archive.ere'), {
        base: goldenPath('every-case', 'base'),
        output,
      });
      const shards = await serveFolder(output);
      try {
        const base = await source.openBase(`${shards.url}/model.safetensors.index.json?token=secret`);
        expect(base.files.length).toBe(2);
        expect(base.location).not.toContain('secret');
        expect(shards.requests.every((request) => request.includes('token=secret'))).toBe(true);
        const archive = await source.openArchive(url('archive.ere'));
        expect([...base.tensors.keys()].sort()).toEqual(archive.index.tensors.map(({ name }) => name).sort());
      } finally {
        await shards.close();
      }
    });
  });

  test('another base, and a tensor that is not there, are said so', async () => {
    const archive = await source.openArchive(url('archive.ere'));
    const other = `${server.url}/dense/base/model.safetensors`;
    await expect(source.decode({ archive, base: other }).next()).rejects.toMatchObject({
      code: 'ERE_CHECKPOINT_MISMATCH',
    });
    const base = url('base/model.safetensors');
    await expect(source.decode({ archive, base, tensors: ['no.such'] }).next()).rejects.toMatchObject({
      code: 'ERE_NOT_FOUND',
    });
    await expect(source.decode({ archive, base, quality: 'exact' }).next()).rejects.toMatchObject({
      code: 'ERE_UNSUPPORTED',
    });
    const reader = source.decodeFile({ archive, base, path: 'x' }).getReader();
    await expect(reader.read()).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
  });

  test('a base with other values is the one to blame, not the archive', async () => {
    const bytes = await readFile(goldenPath('dense', 'base/model.safetensors'));
    for (let i = bytes.length - 4; i > bytes.length / 2; i -= 64) bytes[i]! ^= 1;
    const archive = await source.openArchive(`${server.url}/dense/archive.ere`);
    const tensors = source.decode({ archive, base: source.bytesSource('other.safetensors', bytes) });
    await expect(collect(tensors)).rejects.toMatchObject({ code: 'ERE_CHECKPOINT_MISMATCH' });
  });

  test('a damaged chunk is an IntegrityError, and nothing of it is given out', async () => {
    const bytes = await readFile(goldenPath('dense', 'archive.ere'));
    bytes[bytes.length - 1]! ^= 1;
    const archive = await source.openArchive(source.bytesSource('a.ere', bytes));
    const base = `${server.url}/dense/base/model.safetensors`;
    const reader = source.decodeFile({ archive, base }).getReader();
    const read = async (): Promise<void> => {
      while (!(await reader.read()).done);
    };
    await expect(read()).rejects.toMatchObject({
      code: 'ERE_INTEGRITY',
      message: expect.stringContaining('a.ere, chunk'),
    });
  });

  test('an abort ends it, at once and half-way', async () => {
    const archive = await source.openArchive(url('archive.ere'));
    const options = { archive, base: url('base/model.safetensors') };
    const fired = source.decode({ ...options, signal: AbortSignal.abort() });
    await expect(fired.next()).rejects.toMatchObject({ code: 'ERE_ABORTED' });
    const controller = new AbortController();
    const tensors = source.decode({ ...options, signal: controller.signal });
    await tensors.next();
    controller.abort();
    await expect(tensors.next()).rejects.toMatchObject({ code: 'ERE_ABORTED' });
  });

  test('who stops early stops the work, and a cancelled stream too', async () => {
    const archive = await source.openArchive(url('archive.ere'));
    const base = url('base/model.safetensors');
    for await (const tensor of source.decode({ archive, base })) {
      expect(tensor.name).toBe(archive.index.tensors[0]!.name);
      break;
    }
    const reader = source.decodeFile({ archive, base }).getReader();
    await reader.read();
    await reader.cancel();
    expect(await reader.read()).toEqual({ done: true, value: undefined });
  });
});

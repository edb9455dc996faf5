import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../formats/limits.js';
import { openCheckpoint } from '../../src/io/open-checkpoint.js';
import { fixturePath } from '../helpers/fixtures.js';
import { safetensorsBytes } from '../helpers/safetensors-bytes.js';
import { withTempFolder, writeTree } from '../helpers/temp-folder.js';

const weights = (...names: string[]) =>
  safetensorsBytes(names.map((name) => ({ name, dtype: 'U8', shape: [2] }) as const));
const shardIndex = (weightMap: Record<string, string>) =>
  JSON.stringify({ metadata: {}, weight_map: weightMap });

/** What opening a folder of these files gives. */
async function openTree(files: Record<string, string | Uint8Array>, path = '') {
  return withTempFolder(async (folder) => {
    await writeTree(folder, files);
    const checkpoint = await openCheckpoint(join(folder, path));
    try {
      const side = checkpoint.sideFiles.map((file) => file.path);
      return {
        location: checkpoint.location.replace(folder, '…'),
        files: checkpoint.files.map((file) => file.path),
        tensors: [...checkpoint.tensors.keys()],
        side,
        skipped: Object.fromEntries(checkpoint.skippedFiles.map((file) => [file.path, file.reason])),
        bytes: await Promise.all([...checkpoint.tensors.keys()].map((name) => checkpoint.read(name))),
      };
    } finally {
      await checkpoint.close();
    }
  });
}

describe('what is opened', () => {
  it('a single file has no side files', async () => {
    const opened = await openTree({ 'm.safetensors': weights('w'), 'config.json': '{}' }, 'm.safetensors');
    expect(opened).toMatchObject({
      location: '…/m.safetensors',
      files: ['m.safetensors'],
      tensors: ['w'],
      side: [],
    });
    expect(opened.bytes).toEqual([Uint8Array.of(0, 1)]);
  });

  it('an index in a folder goes before model.safetensors, and travels as a side file', async () => {
    const opened = await openTree({
      'model.safetensors.index.json': shardIndex({ b: 'm-2.safetensors', a: 'm-1.safetensors' }),
      'm-1.safetensors': weights('a'),
      'm-2.safetensors': weights('b'),
      'model.safetensors': weights('a', 'b'),
      'config.json': '{}',
    });
    expect(opened.files).toEqual(['m-1.safetensors', 'm-2.safetensors']);
    expect(opened.tensors).toEqual(['a', 'b']);
    expect(opened.side).toEqual(['config.json', 'model.safetensors.index.json']);
    expect(opened.skipped).toEqual({ 'model.safetensors': 'weights that are not part of this checkpoint' });
  });

  it('an index that is named stands for its folder', async () => {
    const files = {
      'other.safetensors.index.json': shardIndex({ a: 'sub/m-1.safetensors' }),
      'sub/m-1.safetensors': weights('a'),
      'model.safetensors': weights('z'),
    };
    const opened = await openTree(files, 'other.safetensors.index.json');
    expect(opened).toMatchObject({ location: '…', files: ['sub/m-1.safetensors'], tensors: ['a'] });
    expect(opened.side).toEqual(['other.safetensors.index.json']);
  });

  it.each([
    [
      'model.safetensors',
      { 'model.safetensors': weights('w'), 'other.safetensors': weights('w') },
      ['model.safetensors'],
    ],
    [
      'the diffusers name',
      {
        'diffusion_pytorch_model.safetensors': weights('w'),
        'diffusion_pytorch_model.fp16.safetensors': weights('w'),
      },
      ['diffusion_pytorch_model.safetensors'],
    ],
    [
      'the diffusers index',
      {
        'diffusion_pytorch_model.safetensors.index.json': shardIndex({ w: 'x.safetensors' }),
        'x.safetensors': weights('w'),
      },
      ['x.safetensors'],
    ],
    [
      'an index of a variant',
      {
        'model.safetensors.index.fp16.json': shardIndex({ w: 'x.safetensors' }),
        'x.safetensors': weights('w'),
      },
      ['x.safetensors'],
    ],
    [
      'all files',
      { 'b.safetensors': weights('w'), 'a.safetensors': weights('v') },
      ['a.safetensors', 'b.safetensors'],
    ],
    [
      'all files but an adapter',
      { 'b.safetensors': weights('w'), 'adapter_model.safetensors': weights('lora') },
      ['b.safetensors'],
    ],
  ])('a folder: %s', async (_what, files, expected) => {
    expect((await openTree(files)).files).toEqual(expected);
  });

  it('files whose tensors are not disjoint are refused, naming both', async () => {
    const opening = openTree({ 'a.safetensors': weights('w'), 'b.safetensors': weights('w') });
    await expect(opening).rejects.toMatchObject({
      code: 'ERE_FORMAT',
      tensor: 'w',
      message: expect.stringMatching(/b\.safetensors, .*also in .*a\.safetensors; name one of the files/),
    });
  });

  it('the tinylm folder opens with its graph and config as side files', async () => {
    const checkpoint = await openCheckpoint(fixturePath('tinylm/python'));
    expect(checkpoint.tensors.size).toBe(57);
    expect(checkpoint.sideFiles.map(({ path, byteLength }) => [path, byteLength])).toEqual([
      ['config.json', 565],
      ['model.onnx', 284841],
    ]);
    expect(checkpoint.skippedFiles).toEqual([]);
    const file = await readFile(fixturePath('tinylm/python/model.safetensors'));
    expect(file.subarray(0, 6608).equals(checkpoint.files[0].header)).toBe(true);
    for (const { name, byteOffset, byteLength } of checkpoint.tensors.values()) {
      expect(file.subarray(byteOffset, byteOffset + byteLength).equals(await checkpoint.read(name))).toBe(
        true,
      );
    }
    await checkpoint.close();
    await checkpoint.close();
    await expect(checkpoint.read('model.embed_tokens.weight')).rejects.toMatchObject({ code: 'ERE_IO' });
  });
});

describe('what cannot be opened says what was found and what to do', () => {
  const good = weights('w');
  it.each<[string, Record<string, string | Uint8Array>, string, string, RegExp]>([
    ['nothing there', {}, 'missing', 'ERE_NOT_FOUND', /missing: cannot open: no such file or folder/],
    [
      'an empty folder',
      {},
      '',
      'ERE_NOT_FOUND',
      /expected a \.safetensors file or a shard index, the folder is empty/,
    ],
    ['only a config', { 'config.json': '{}' }, '', 'ERE_NOT_FOUND', /found config\.json/],
    [
      'a pipeline',
      { 'unet/x.safetensors': good, 'vae/x.safetensors': good },
      '',
      'ERE_NOT_FOUND',
      /found unet\/, vae\/; if the weights are in one/,
    ],
    [
      'PyTorch weights',
      { 'pytorch_model.bin': 'x', 'config.json': '{}' },
      '',
      'ERE_UNSUPPORTED',
      /PyTorch weights only \(pytorch_model\.bin\); convert/,
    ],
    [
      'an adapter',
      { 'adapter_model.safetensors': good, 'adapter_config.json': '{}' },
      '',
      'ERE_UNSUPPORTED',
      /holds an adapter .*merge_and_unload/,
    ],
    [
      'two indexes',
      { 'a.safetensors.index.json': '', 'b.safetensors.index.json': '' },
      '',
      'ERE_UNSUPPORTED',
      /name one of the indexes a\.safe.*, b\.safe/,
    ],
    [
      'a missing shard without index',
      { 'm-00001-of-00002.safetensors': good },
      '',
      'ERE_NOT_FOUND',
      /shard m-00002-of-00002\.safetensors is missing/,
    ],
    [
      'a missing shard with index',
      { 'model.safetensors.index.json': shardIndex({ w: 'x.safetensors' }) },
      '',
      'ERE_NOT_FOUND',
      /x\.safetensors: cannot open/,
    ],
    [
      'an index that lies',
      { 'model.safetensors.index.json': shardIndex({ v: 'x.safetensors' }), 'x.safetensors': good },
      '',
      'ERE_FORMAT',
      /index\.json, tensor "v": weight_map says x\.safetensors, but it is in no shard/,
    ],
    [
      'a folder as shard',
      { 'model.safetensors.index.json': shardIndex({ w: 'x.safetensors' }), 'x.safetensors/a': '' },
      '',
      'ERE_IO',
      /x\.safetensors: expected a regular file/,
    ],
    [
      'a PyTorch file',
      { 'model.bin': 'x' },
      'model.bin',
      'ERE_UNSUPPORTED',
      /found PyTorch weights; convert/,
    ],
    ['an archive', { 'm.ere': 'x' }, 'm.ere', 'ERE_UNSUPPORTED', /is an archive, .*; decode it first/],
    ['another file', { 'README.md': 'x' }, 'README.md', 'ERE_UNSUPPORTED', /found another file/],
    [
      'a broken header',
      { 'm.safetensors': 'x' },
      'm.safetensors',
      'ERE_FORMAT',
      /m\.safetensors, byte 0: .* this one has 1 bytes/,
    ],
    [
      'a weight file with a name that is not portable',
      { 'what?.safetensors': good },
      '',
      'ERE_UNSUPPORTED',
      /has one of .*; rename it/,
    ],
  ])('%s', async (_what, files, path, code, message) => {
    await expect(openTree(files, path)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });
});

describe('side files', () => {
  it('are every other file, recursively, in code-unit order, but weights, hidden and large ones', async () => {
    await withTempFolder(async (folder) => {
      await writeTree(folder, {
        'model.safetensors': weights('w'),
        'config.json': '{}',
        'Zebra.txt': 'z',
        'é.txt': 'e',
        'tokenizer.model': 't',
        'a/b/c.jinja': 'c',
        'a.txt': 'a',
        'onnx/graph.onnx': 'g',
        'onnx/graph.onnx_data': 'd',
        'onnx/graph2.onnx.data': 'd',
        'pytorch_model.bin': 'p',
        'old/model.safetensors': weights('w'),
        'Q4.GGUF': 'q',
        'what?.txt': '',
        '.git/config': 'hidden',
        '.gitattributes': 'hidden',
        'a/.cache/x': 'hidden',
        empty: '',
      });
      await writeFile(join(folder, 'large.json'), new Uint8Array(LIMITS.sideFileByteLength + 1));
      const checkpoint = await openCheckpoint(folder);
      const side = checkpoint.sideFiles;
      expect(side.map(({ path }) => path)).toEqual([
        'Zebra.txt',
        'a.txt',
        'a/b/c.jinja',
        'config.json',
        'empty',
        'onnx/graph.onnx',
        'tokenizer.model',
        'é.txt',
      ]);
      expect(new TextDecoder().decode(await side[2].read())).toBe('c');
      expect((await side[4].read()).byteLength).toBe(0);
      expect(checkpoint.skippedFiles).toEqual([
        { path: 'Q4.GGUF', reason: 'weights in another format (GGUF)' },
        { path: 'large.json', reason: 'too large: 67108865 bytes, over 67108864' },
        { path: 'old/model.safetensors', reason: 'weights that are not part of this checkpoint' },
        { path: 'onnx/graph.onnx_data', reason: 'weights in another format (ONNX external data)' },
        { path: 'onnx/graph2.onnx.data', reason: 'weights in another format (ONNX external data)' },
        { path: 'pytorch_model.bin', reason: 'weights in another format (PyTorch)' },
        { path: 'what?.txt', reason: 'not portable: the path has one of < > : " | ? *' },
      ]);
      await checkpoint.close();
    });
  });

  it('a symbolic link is followed inside the folder only', async () => {
    await withTempFolder(async (outside) => {
      const folder = join(outside, 'model');
      await writeTree(folder, { 'model.safetensors': weights('w'), 'real.txt': 'real', 'sub/x': '' });
      await writeFile(join(outside, 'secret'), 'secret');
      await symlink('real.txt', join(folder, 'inside.txt'));
      await symlink('../secret', join(folder, 'leaves.txt'));
      await symlink('..', join(folder, 'parent'));
      await symlink('sub', join(folder, 'link-to-folder'));
      await symlink('nowhere', join(folder, 'broken'));
      await symlink('loop', join(folder, 'loop'));
      const checkpoint = await openCheckpoint(folder);
      expect(checkpoint.sideFiles.map(({ path }) => path)).toEqual(['inside.txt', 'real.txt', 'sub/x']);
      expect(new TextDecoder().decode(await checkpoint.sideFiles[0].read())).toBe('real');
      expect(checkpoint.skippedFiles).toEqual([
        { path: 'broken', reason: 'symbolic link that leads nowhere' },
        { path: 'leaves.txt', reason: 'symbolic link that leaves the folder' },
        { path: 'link-to-folder', reason: 'symbolic link to a folder' },
        { path: 'loop', reason: 'symbolic link that leads nowhere' },
        { path: 'parent', reason: 'symbolic link that leaves the folder' },
      ]);
      await checkpoint.close();
    });
  });

  it('a file that changed its size meanwhile is an IoError', async () => {
    await withTempFolder(async (folder) => {
      await writeTree(folder, { 'model.safetensors': weights('w'), 'config.json': '{}' });
      const checkpoint = await openCheckpoint(folder);
      await writeFile(join(folder, 'config.json'), '{ }');
      await expect(checkpoint.sideFiles[0].read()).rejects.toMatchObject({
        code: 'ERE_IO',
        message: expect.stringContaining('config.json: changed from 2 to 3 bytes'),
      });
      await checkpoint.close();
    });
  });
});

describe('the local Hugging Face cache', () => {
  const revision = 'a'.repeat(40);

  async function withCache<T>(use: (repository: string) => Promise<T>): Promise<T> {
    return withTempFolder(async (hub) => {
      const repository = join(hub, 'models--org--name');
      const snapshot = join(repository, 'snapshots', revision);
      await writeTree(repository, { 'blobs/1': weights('w'), 'blobs/2': '{}', 'refs/main': revision });
      await mkdir(snapshot, { recursive: true });
      await symlink('../../blobs/1', join(snapshot, 'model.safetensors'));
      await symlink('../../blobs/2', join(snapshot, 'config.json'));
      return use(repository);
    });
  }

  it.each([
    ['the repository folder stands for the snapshot of main', ''],
    ['a snapshot is a model folder whose links lead to the blobs', `snapshots/${revision}`],
  ])('%s', async (_what, path) => {
    await withCache(async (repository) => {
      const checkpoint = await openCheckpoint(join(repository, path));
      expect(checkpoint.location).toBe(join(repository, 'snapshots', revision));
      expect(checkpoint.files.map((file) => file.path)).toEqual(['model.safetensors']);
      expect(checkpoint.sideFiles.map((file) => file.path)).toEqual(['config.json']);
      expect(checkpoint.skippedFiles).toEqual([]);
      await checkpoint.close();
    });
  });

  it('several snapshots without main are named in the error', async () => {
    await withCache(async (repository) => {
      await mkdir(join(repository, 'snapshots', 'b'));
      await writeFile(join(repository, 'refs/main'), '../../..');
      await expect(openCheckpoint(repository)).rejects.toMatchObject({
        code: 'ERE_NOT_FOUND',
        message: expect.stringContaining(`found ${revision}, b`),
      });
    });
  });
});

import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openCheckpoint } from '../../src/io/open-checkpoint.js';
import { decode } from '../../src/residual/decode.js';
import { encode } from '../../src/residual/encode.js';
import { openArchive } from '../../src/residual/open-archive.js';
import { fixturePath } from '../helpers/fixtures.js';

const BASE = fixturePath('tinylm/base');
let folder: string;
let archivePath: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ere-test-'));
  archivePath = join(folder, 'tuned.ere');
  const budget = { kind: 'rank', rank: 2 } as const;
  await encode(fixturePath('tinylm/python'), { base: BASE, output: archivePath, budget });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('an open archive gives every tensor in order, with the digests of the index', async () => {
  const archive = await openArchive(archivePath);
  const names: string[] = [];
  for await (const tensor of archive.decodeTensors({ base: BASE })) {
    const digest = `sha256:${createHash('sha256').update(tensor.bytes).digest('hex')}`;
    expect(digest).toBe(archive.index.tensors[names.length]!.digest);
    names.push(tensor.name);
  }
  expect(names).toEqual(archive.tensors.map((tensor) => tensor.name));
  await archive.close();
});

test('named tensors come once each, in the order of the checkpoint', async () => {
  const archive = await openArchive(archivePath);
  const wanted = ['lm_head.weight', 'model.norm.weight', 'lm_head.weight'];
  const found: string[] = [];
  for await (const tensor of archive.decodeTensors({ base: BASE, tensors: wanted })) found.push(tensor.name);
  expect(found.sort()).toEqual(['lm_head.weight', 'model.norm.weight']);
  await archive.close();
});

test('an unknown name is NotFoundError with the name', async () => {
  const archive = await openArchive(archivePath);
  const tensors = archive.decodeTensors({ base: BASE, tensors: ['lm_head.bias'] });
  await expect(tensors.next()).rejects.toMatchObject({
    code: 'ERE_NOT_FOUND',
    message: expect.stringContaining('"lm_head.bias"'),
  });
  await archive.close();
});

test('an aborted stream stops at the next tensor', async () => {
  const archive = await openArchive(archivePath);
  const controller = new AbortController();
  const tensors = archive.decodeTensors({ base: BASE, signal: controller.signal });
  expect((await tensors.next()).done).toBe(false);
  controller.abort();
  await expect(tensors.next()).rejects.toMatchObject({ code: 'ERE_ABORTED' });
  await archive.close();
});

test('decode of named tensors writes one file that holds just them, with the bytes of a full decode', async () => {
  const tensors = ['lm_head.weight', 'model.norm.weight'];
  await decode(archivePath, { base: BASE, output: join(folder, 'parts.safetensors'), tensors });
  await decode(archivePath, { base: BASE, output: join(folder, 'whole') });
  const [parts, whole] = await Promise.all([
    openCheckpoint(join(folder, 'parts.safetensors')),
    openCheckpoint(join(folder, 'whole')),
  ]);
  expect([...parts.tensors.keys()].sort()).toEqual(tensors);
  for (const name of tensors) expect(await parts.read(name)).toEqual(await whole.read(name));
  await Promise.all([parts.close(), whole.close()]);
});

test('decode of named tensors into a folder is refused before anything is written', async () => {
  const output = join(folder, 'parts');
  await expect(decode(archivePath, { base: BASE, output, tensors: ['lm_head.weight'] })).rejects.toThrow(
    TypeError,
  );
  expect(await readdir(folder)).not.toContain('parts');
});

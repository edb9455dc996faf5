/** docs/spec is enough to write a decoder: one that was written from it gives the bytes of the golden archives. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../helpers/archive-builder.js';
import { GOLDEN_ARCHIVES, goldenPath } from '../helpers/golden.js';
import { type Base, type BaseTensor, decodeIndependently } from '../helpers/independent-decoder.js';
import { listTree } from '../helpers/temp-folder.js';

/** A base folder with one weight file: u64 header length, JSON, data. */
async function readBase(folder: string): Promise<Base> {
  const files = new Map<string, Uint8Array>();
  for (const path of await listTree(folder)) files.set(path, readFileSync(`${folder}/${path}`));
  const weights = files.get('model.safetensors') as Buffer;
  const start = 8 + Number(weights.readBigUInt64LE(0));
  const header = JSON.parse(weights.toString('utf8', 8, start));
  const tensors = new Map<string, BaseTensor>();
  for (const [name, { dtype, shape, data_offsets }] of Object.entries<Record<string, never>>(header)) {
    if (name === '__metadata__') continue;
    const [from, to] = data_offsets as unknown as [number, number];
    tensors.set(name, { dtype: dtype!, shape: shape!, bytes: weights.subarray(start + from, start + to) });
  }
  return { tensors, files };
}

describe('the independent decoder', () => {
  for (const { name, files } of GOLDEN_ARCHIVES) {
    it(`rebuilds ${name} to the byte`, async () => {
      const base = await readBase(goldenPath(name, 'base'));
      const decoded = decodeIndependently(readFileSync(goldenPath(name, 'archive.ere')), base);
      const digests = [...decoded].map(([path, bytes]) => [path, digestOf(bytes).slice('sha256:'.length)]);
      expect(Object.fromEntries(digests)).toEqual(files);
    });
  }

  it.each(['exact-on-top', 'merged-on-top'])(
    'rebuilds the lossy level of %s, digests included',
    async (name) => {
      const base = await readBase(goldenPath(name, 'base'));
      const archive = readFileSync(goldenPath(name, 'archive.ere'));
      const [lossy, exact] = [decodeIndependently(archive, base, true), decodeIndependently(archive, base)];
      expect([...lossy.keys()]).toEqual([...exact.keys()]);
      expect(lossy).not.toEqual(exact);
    },
  );

  it('refuses a base with other values', async () => {
    const base = await readBase(goldenPath('dense', 'base'));
    base.tensors.get('flat')!.bytes[0]! ^= 1;
    const archive = readFileSync(goldenPath('dense', 'archive.ere'));
    expect(() => decodeIndependently(archive, base)).toThrow('base digest');
  });
});

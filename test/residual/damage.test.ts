/** Damaged and foreign archives: one error of the right class each, never other bytes, never a partial output. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EreErrorCode, isEreError } from '../../formats/errors.js';
import { decode, encode, verify } from '../../src/index.js';
import { buildArchive } from '../helpers/archive-builder.js';
import { readArchive } from '../helpers/independent-decoder.js';
import { floatTensor, matrixPair, modelPair, QUICK, writeModel } from '../helpers/models.js';
import { failsCleanly } from '../helpers/nothing-left.js';
import { withTempFolder } from '../helpers/temp-folder.js';

const models = modelPair([
  matrixPair('a', [12, 10], 1),
  matrixPair('b', [9, 14], 2),
  { base: floatTensor('bias', 'F32', [3], [1, 2, 3]), fineTuned: floatTensor('bias', 'F32', [3], [1, 2, 4]) },
]);

/** One archive for all tests here, and the index and chunks to build others from. */
let archive: Buffer;
let folder: string;
let remove: () => void;

beforeAll(async () => {
  await new Promise<void>((ready, failed) => {
    withTempFolder(async (created) => {
      folder = created;
      await writeModel(join(folder, 'base'), { ...models.base, sideFiles: { 'notes.txt': 'same' } });
      const sideFiles = { 'notes.txt': 'same', 'config.json': '{"a": 1}' };
      await writeModel(join(folder, 'tuned'), { ...models.fineTuned, sideFiles });
      const output = join(folder, 'good.ere');
      const budget = { kind: 'rank', rank: 2 } as const;
      await encode(join(folder, 'tuned'), { ...QUICK, base: join(folder, 'base'), output, budget });
      archive = await readFile(output);
      ready();
      await new Promise<void>((resolve) => {
        remove = resolve;
      });
    }).catch(failed);
  });
});
afterAll(() => remove());

const base = () => join(folder, 'base');
const decodeTo = (path: string, name: string) =>
  decode(path, { base: base(), output: join(folder, name), threads: 1 });

/** Decodes an archive of these bytes, which must fail. */
async function refusal(bytes: Uint8Array): Promise<Error> {
  const path = join(folder, 'bad.ere');
  await writeFile(path, bytes);
  return failsCleanly(folder, () => decodeTo(path, 'out'));
}

/** The archive with its index changed, checksums right. */
function rebuilt(
  change: (index: Record<string, never>) => unknown,
  chunks?: (all: Buffer[]) => Buffer[],
): Uint8Array {
  const { index, chunks: all } = readArchive(archive);
  const { chunks: _, ...rest } = structuredClone(index) as unknown as Record<string, never>;
  change(rest);
  return buildArchive({ index: rest, chunks: (chunks ?? ((same) => same))(all) });
}

it('the archive behind these tests holds terms of both kinds, and decodes', async () => {
  const { index } = readArchive(archive);
  expect(new Set(index.tensors.flatMap(({ terms }) => terms.map(({ codec }) => codec)))).toEqual(
    new Set(['low-rank', 'bytes']),
  );
  await decodeTo(join(folder, 'good.ere'), 'reference');
  expect(rebuilt(() => {}).byteLength).toBeGreaterThan(archive.byteLength); // its index is not deflated
  await writeFile(
    join(folder, 'same.ere'),
    rebuilt(() => {}),
  );
  await decodeTo(join(folder, 'same.ere'), 'same');
});

describe('a damaged file', () => {
  it('with any bit flipped is refused, whether decoded or only verified', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: archive.byteLength - 1 }), fc.nat({ max: 7 }), async (position, bit) => {
        const bytes = Buffer.from(archive);
        bytes[position]! ^= 1 << bit;
        const error = await refusal(bytes);
        expect(isEreError(error, 'ERE_INTEGRITY', 'ERE_FORMAT', 'ERE_UNSUPPORTED')).toBe(true);
        expect(error.message).toContain('bad.ere');
        await expect(verify(join(folder, 'bad.ere'))).rejects.toThrow(error.message);
      }),
      { numRuns: 100 },
    );
  });

  it('that ends early is refused with both lengths', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: archive.byteLength - 1 }), async (length) => {
        const error = await refusal(archive.subarray(0, length));
        expect(isEreError(error, 'ERE_FORMAT')).toBe(true);
        if (length >= 40) expect(error.message).toMatch(new RegExp(`${archive.byteLength}.*${length}`));
      }),
      { numRuns: 40 },
    );
  });

  it('that goes on behind its end is refused', async () => {
    const error = await refusal(Buffer.concat([archive, Buffer.from([0])]));
    expect(isEreError(error, 'ERE_FORMAT')).toBe(true);
    expect(error.message).toContain(`${archive.byteLength + 1}`);
  });

  it('that is another file, or none, says so', async () => {
    const weights = join(base(), 'model.safetensors');
    expect((await failsCleanly(folder, () => decodeTo(weights, 'out'))).message).toContain(
      'not an ERE archive',
    );
    const missing = await failsCleanly(folder, () => decodeTo(join(folder, 'missing.ere'), 'out'));
    expect(isEreError(missing, 'ERE_NOT_FOUND')).toBe(true);
  });
});

describe('an archive made elsewhere', () => {
  interface Term {
    readonly codec: string;
    readonly params: object;
  }
  const tensorsOf = (index: Record<string, never>) => index.tensors as { readonly terms: readonly Term[] }[];
  const lowRank = (index: Record<string, never>) =>
    tensorsOf(index)
      .flatMap(({ terms }) => terms)
      .find(({ codec }) => codec === 'low-rank')!;

  const cases: readonly (readonly [string, () => Uint8Array, EreErrorCode, RegExp])[] = [
    [
      'of version 2',
      () => {
        const bytes = Buffer.from(archive);
        bytes[4] = 0x32;
        return bytes;
      },
      'ERE_UNSUPPORTED',
      /archive version 2; this build reads version 1/,
    ],
    [
      'with a codec that is not known, even unused',
      () => rebuilt((index) => (index.codecs as string[]).push('wavelet')),
      'ERE_UNSUPPORTED',
      /codec "wavelet"/,
    ],
    [
      'whose tensors are not those of its digest',
      () => rebuilt((index) => Object.assign(index.decoded, { digest: `sha256:${'0'.repeat(64)}` })),
      'ERE_INTEGRITY',
      /identity of the decoded checkpoint: expected sha256:0000/,
    ],
    [
      'whose parameters lie about the payload',
      () => rebuilt((index) => Object.assign(lowRank(index).params, { bands: [2 ** 30] })),
      'ERE_CODEC',
      /tensor "a", codec "low-rank"/,
    ],
    [
      'whose scale is another, so that the digests do not match',
      () => rebuilt((index) => Object.assign(lowRank(index).params, { scale: 0.5 })),
      'ERE_INTEGRITY',
      /tensor "a" as decoded: expected sha256:/,
    ],
    [
      'whose weight header tells other tensors',
      () => rebuilt((index) => Object.assign(tensorsOf(index)[0]!, { dtype: 'I32' })),
      'ERE_FORMAT',
      /tensor "a": the header of its weight file disagrees with the index: expected I32 \[12, 10\]/,
    ],
    [
      'that writes outside of its folder',
      () => rebuilt((index) => Object.assign((index.sideFiles as object[])[0]!, { path: '../escaped.json' })),
      'ERE_FORMAT',
      /"\.\.\/escaped\.json"/,
    ],
    [
      'that writes to an absolute path',
      () =>
        rebuilt((index) =>
          Object.assign((index.files as object[])[0]!, { path: '/tmp/escaped.safetensors' }),
        ),
      'ERE_FORMAT',
      /"\/tmp\/escaped\.safetensors"/,
    ],
    [
      'that writes a file twice',
      () =>
        rebuilt((index) => Object.assign((index.sideFiles as object[])[0]!, { path: 'model.safetensors' })),
      'ERE_FORMAT',
      /unique paths/,
    ],
  ];
  for (const [name, bytes, code, message] of cases) {
    it(`${name} is refused with ${code}`, async () => {
      const error = await refusal(bytes());
      expect(error.message).toMatch(message);
      expect(isEreError(error, code)).toBe(true);
    });
  }

  it('a side file with other bytes than its digest is refused', async () => {
    const error = await refusal(
      rebuilt((index) => {
        const file = (index.sideFiles as { path: string; digest: string }[]).find(
          ({ path }) => path === 'config.json',
        )!;
        file.digest = `sha256:${'0'.repeat(64)}`;
      }),
    );
    expect(isEreError(error, 'ERE_INTEGRITY')).toBe(true);
    expect(error.message).toContain('side file config.json');
  });
});

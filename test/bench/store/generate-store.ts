/** Stores of many versions, made without encoding anything: records as commits leave them, and payloads of random bytes. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Digest } from '../../../formats/ere/archive-index.js';
import {
  FORMAT_KEY,
  FORMAT_TEXT,
  objectKey,
  type RefKind,
  recipeKey,
  refKey,
  versionKey,
} from '../../../src/store/layout.js';
import { type Manifest, type ManifestTensor, sealManifest } from '../../../src/store/manifest.js';
import { sealRecipe } from '../../../src/store/recipe.js';

export interface GenerateOptions {
  readonly versionCount: number;
  readonly tensorCount: number;
  /** Tensors of a version that are not its parent's. */
  readonly changedCount: number;
}

const SHAPE = [64, 64] as const;
const PAYLOAD_BYTE_LENGTH = 512;
/** Versions of one chain. */
const CHAIN_LENGTH = 4;
const TAG_EVERY = 100;

/** One model, each version coded against its parent, and now and then against the base; a tag every 100 versions. */
export async function generateStore(
  folder: string,
  { versionCount, tensorCount, changedCount }: GenerateOptions,
): Promise<void> {
  const folders = new Set<string>();
  const put = async (key: string, bytes: Uint8Array | string): Promise<void> => {
    const path = join(folder, key);
    const parent = dirname(path);
    if (!folders.has(parent)) await mkdir(parent, { recursive: true });
    folders.add(parent);
    await writeFile(path, bytes);
  };
  const putRef = (kind: RefKind, name: string, id: Digest): Promise<void> =>
    put(refKey(kind, name), `${JSON.stringify({ version: id })}\n`);
  const putVersion = async (manifest: Manifest): Promise<Digest> => {
    const { bytes, digest } = sealManifest(manifest);
    await put(versionKey(digest), bytes);
    return digest;
  };
  await put(FORMAT_KEY, FORMAT_TEXT);

  const named = (text: string): Digest => `sha256:${createHash('sha256').update(text).digest('hex')}`;
  const tensorAt = (tensor: number, version: number): ManifestTensor => ({
    name: `model.layers.${tensor}.weight`,
    dtype: 'BF16',
    shape: SHAPE,
    file: 0,
    digest: named(`tensor ${tensor} of version ${version}`),
  });
  const putObject = async (text: string, byteLength: number): Promise<Digest> => {
    const seed = createHash('sha256').update(text).digest();
    const bytes = Buffer.alloc(byteLength, seed);
    const digest: Digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    await put(objectKey(digest), bytes);
    return digest;
  };

  const header = await putObject('header', PAYLOAD_BYTE_LENGTH);
  const file = {
    path: 'model.safetensors',
    byteLength: tensorCount * 2 * SHAPE[0] * SHAPE[1] + PAYLOAD_BYTE_LENGTH,
    header: { object: header, byteLength: PAYLOAD_BYTE_LENGTH, encoding: 'stored' as const },
  };
  let tensors = Array.from({ length: tensorCount }, (_, tensor) => tensorAt(tensor, 0));
  const common = {
    model: 'main',
    relativeError: 0,
    fineTunedByteLength: file.byteLength,
    files: [file],
    sideFiles: [],
    directByteLength: 1_000_000,
  };
  const ofBase = tensors;
  const base = await putVersion({
    ...common,
    kind: 'base',
    model: 'base',
    message: '',
    createdAt: new Date(0).toISOString(),
    parents: [],
    base: undefined,
    reference: undefined,
    digest: named('base'),
    addedByteLength: 0,
    decodeCost: 0,
    encoding: {},
    tensors,
  });
  await putRef('base', 'base', base);
  let parent: Digest | undefined;
  for (let version = 1; version <= versionCount; version++) {
    // Each time that a tensor changes it is one step further from the base, and every fourth time back at it.
    const isDirect = Math.floor((version * changedCount) / tensorCount) % CHAIN_LENGTH === 0;
    const before = isDirect ? ofBase : tensors;
    const changed = new Set(
      Array.from({ length: changedCount }, (_, i) => (version * changedCount + i) % tensorCount),
    );
    const next = [...tensors];
    for (const tensor of changed) {
      const made = tensorAt(tensor, version);
      next[tensor] = made;
      const object = await putObject(`payload ${made.digest}`, PAYLOAD_BYTE_LENGTH);
      const { digest, dtype, shape } = before[tensor]!;
      const recipe = sealRecipe({
        digest: made.digest,
        dtype: made.dtype,
        shape: made.shape,
        columns: SHAPE[1],
        reference: { digest, dtype, shape },
        terms: [{ codec: 'interval', params: {}, chunks: [0] }],
        chunks: [{ object, byteOffset: 0, byteLength: PAYLOAD_BYTE_LENGTH, crc32: version }],
      });
      await put(recipeKey(made.digest), recipe);
    }
    tensors = next;
    const sketch = await putObject(`sketch ${version}`, PAYLOAD_BYTE_LENGTH);
    const id: Digest = await putVersion({
      ...common,
      kind: 'version',
      message: `Checkpoint ${version}`,
      createdAt: new Date(60_000 * version).toISOString(),
      parents: parent === undefined ? [] : [parent],
      base: { name: 'base', id: base },
      reference:
        isDirect || parent === undefined ? { kind: 'base', id: base } : { kind: 'version', id: parent },
      digest: named(`version ${version}`),
      addedByteLength: changedCount * PAYLOAD_BYTE_LENGTH,
      decodeCost: 1 + ((version - 1) % CHAIN_LENGTH) / CHAIN_LENGTH,
      encoding: { lossless: true },
      tensors,
      sketch: { object: sketch, byteLength: PAYLOAD_BYTE_LENGTH, encoding: 'stored' },
    });
    if (version % TAG_EVERY === 0) await putRef('tag', `v${version / TAG_EVERY}`, id);
    parent = id;
  }
  if (parent !== undefined) await putRef('model', 'main', parent);
}

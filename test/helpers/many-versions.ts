/** A store of many versions, written without a model: what its commands cost that read records only. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Digest } from '../../formats/ere/archive-index.js';
import type { VersionId } from '../../src/store/api.js';
import { openFolderBackend } from '../../src/store/backends/file-system.js';
import { objectKey, recipeKey, versionKey } from '../../src/store/layout.js';
import { type Manifest, sealManifest } from '../../src/store/manifest.js';
import { initStore } from '../../src/store/open-store.js';
import { sealRecipe } from '../../src/store/recipe.js';
import { advanceModel } from '../../src/store/versions.js';

export interface ManyVersions {
  readonly versions: number;
  /** Versions are spread over them in turn. */
  readonly models: number;
  /** Of each version, none shared: a recipe and an object each. */
  readonly tensors: number;
}

const SHAPE = [64, 64] as const;

/** Makes a store at `location`; model-0 is a model of it. Values are random bytes: nothing can be decoded. */
export async function writeManyVersions(
  location: string,
  { versions, models, tensors }: ManyVersions,
): Promise<void> {
  await (await initStore(location)).close();
  const write = async (key: string, bytes: Uint8Array) => {
    await mkdir(dirname(join(location, key)), { recursive: true });
    await writeFile(join(location, key), bytes);
  };
  const base = digestOf('base');
  const heads: VersionId[] = [];
  for (let i = 0; i < versions; i++) {
    const parent = heads[i % models];
    const digests = Array.from({ length: tensors }, (_, tensor) => digestOf(`tensor ${i} ${tensor}`));
    for (const digest of digests) {
      const object = digestOf(`object of ${digest}`);
      const chunks = [{ object, byteOffset: 0, byteLength: 64, crc32: 0 }];
      const recipe = {
        digest,
        dtype: 'BF16',
        shape: SHAPE,
        columns: SHAPE[1],
        terms: [TERM],
        chunks,
      } as const;
      await write(recipeKey(digest), sealRecipe(recipe));
      await write(objectKey(object), new Uint8Array(64));
    }
    const { bytes, digest: id } = sealManifest({
      ...MANIFEST,
      model: `model-${i % models}`,
      message: `step ${i}`,
      createdAt: new Date(Date.UTC(2026, 0, 1) + i * 60_000).toISOString(),
      parents: parent === undefined ? [] : [parent],
      base: { name: 'base', id: base },
      reference: parent === undefined ? { kind: 'base', id: base } : { kind: 'version', id: parent },
      digest: digestOf(`version ${i}`),
      tensors: digests.map((digest, tensor) => ({
        name: `model.layers.${tensor}.weight`,
        dtype: 'BF16',
        shape: SHAPE,
        file: 0,
        digest,
      })),
    });
    await write(versionKey(id), bytes);
    heads[i % models] = id;
  }
  const backend = await openFolderBackend(location);
  for (const [i, id] of heads.entries()) await advanceModel(backend, `model-${i}`, undefined, id);
  await backend.close();
}

/** What the only chunk of a tensor is said to hold. */
const TERM = { codec: 'bytes', chunks: [0], errorDrops: [0], params: {} } as const;

const MANIFEST = {
  kind: 'version',
  fineTunedByteLength: 9_909_200,
  addedByteLength: 930_000,
  relativeError: 0,
  decodeCost: 1.5,
  encoding: { lossless: true },
  files: [],
  sideFiles: [],
  directByteLength: 4_560_000,
} as const satisfies Partial<Manifest>;

function digestOf(text: string): Digest {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

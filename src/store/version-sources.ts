/** What a version is decoded from, opened: by this thread, and by each worker for itself. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readPieces } from '../../formats/byte-source.js';
import { openArchive } from '../../formats/ere/open-archive.js';
import { KNOWN_CODECS } from '../codecs/known-codecs.js';
import { inflateAtOnce } from '../io/inflate-at-once.js';
import { nodeRuntime } from '../io/node-runtime.js';
import type { KernelPath } from '../kernels/kernels.js';
import type { DecodeWorkers } from '../residual/decode-archive.js';
import type { OpenSources } from '../residual/decode-jobs.js';
import type { Key, StoreBackend } from './backend.js';
import { openFolderBackend } from './backends/file-system.js';
import { objectKey, recipeKey } from './layout.js';
import { type BasePlace, locateBases, openPlaces } from './located-bases.js';
import { type StoredVersion, shortId } from './manifest.js';
import { namedObjects } from './reachable.js';
import type { StoreReader, Trace } from './store-reader.js';
import { TensorSource } from './tensor-source.js';
import { type VersionArchive, versionArchive, versionSource } from './version-archive.js';

/** How to open a version's archive and what it is coded against; structured-cloneable. */
export interface VersionPlace {
  /** For messages. */
  readonly name: string;
  /** Folder of a store that holds the version's recipes and objects. */
  readonly folder: string;
  readonly archive: VersionArchive;
  /** Of every tensor on the way. */
  readonly recipes: Trace['recipes'];
  readonly bases: readonly BasePlace[];
  readonly kernels: KernelPath;
}

export interface VersionSources extends OpenSources {
  readonly place: VersionPlace;
  readonly workers: DecodeWorkers;
}

export interface VersionSourcesOptions {
  readonly basePath?: string | undefined;
  readonly kernels?: KernelPath | undefined;
}

/** @throws NotFoundError for a base that is not at hand, or something that the store lacks */
export async function openVersion(
  reader: StoreReader,
  version: StoredVersion,
  options: VersionSourcesOptions,
): Promise<VersionSources> {
  const trace = await reader.trace(version.manifest.tensors.map(({ digest }) => digest));
  const local = await localCopy(reader, version, trace);
  try {
    const place: VersionPlace = {
      name: `${reader.backend.location}, version ${shortId(version.id)}`,
      folder: local.folder,
      archive: await versionArchive({
        backend: reader.backend,
        version,
        recipeOf: async (digest) => trace.recipes.get(digest),
        base: {
          name: version.manifest.base?.name ?? '',
          digest: version.manifest.digest,
          tensorCount: 0,
        },
      }),
      recipes: trace.recipes,
      bases: await locateBases(reader, trace.roots, version.manifest.base?.id, options.basePath),
      kernels: options.kernels ?? 'wasm',
    };
    const sources = await openPlace(place);
    const workers = { module: new URL('./checkout-jobs.js', import.meta.url), sources: place };
    const close = async (): Promise<void> => {
      await sources.close();
      await local.remove();
    };
    return { ...sources, place, workers, close };
  } catch (error) {
    await local.remove().catch(() => {});
    throw error;
  }
}

/** Opens a version for one thread. */
export async function openPlace({
  name,
  folder,
  archive,
  recipes,
  bases,
  kernels,
}: VersionPlace): Promise<OpenSources> {
  const backend = await openFolderBackend(folder);
  const places = await openPlaces(bases);
  const source = new TensorSource({
    backend,
    recipes,
    bases: places.bases,
    runtime: nodeRuntime(kernels),
  });
  const close = async (): Promise<void> => {
    await source.close();
    await places.close();
    await backend.close();
  };
  try {
    const bytes = versionSource(name, archive, source.objects);
    const opened = await openArchive(bytes, { codecs: KNOWN_CODECS, inflate: inflateAtOnce });
    const base = source.references(opened.index);
    return {
      archive: opened,
      base,
      close: async () => {
        await base.close();
        await close();
      },
    };
  } catch (error) {
    await close().catch(() => {});
    throw error;
  }
}

interface LocalCopy {
  readonly folder: string;
  remove(): Promise<void>;
}

/** Values that are fetched at once. */
const FETCHES = 8;

/** The store itself where it is a folder, else a temporary one with what the version needs. */
async function localCopy({ backend }: StoreReader, version: StoredVersion, trace: Trace): Promise<LocalCopy> {
  if (backend.folder !== undefined) return { folder: backend.folder, remove: async () => {} };
  const folder = await mkdtemp(join(tmpdir(), 'ere-version-'));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const local = await openFolderBackend(folder);
    const keys = neededKeys(version, trace);
    const fetchNext = async (): Promise<void> => {
      for (let key = keys.pop(); key !== undefined; key = keys.pop()) {
        await local.write(key, piecesOf(backend, key));
      }
    };
    await Promise.all(Array.from({ length: FETCHES }, fetchNext));
    await local.close();
    return { folder, remove };
  } catch (error) {
    await remove().catch(() => {});
    throw error;
  }
}

/** Keys of all recipes and objects that a version is decoded from. */
export function neededKeys(version: StoredVersion, trace: Trace): Key[] {
  return [...[...trace.recipes.keys()].map(recipeKey), ...[...namedObjects([version], trace)].map(objectKey)];
}

async function* piecesOf(backend: StoreBackend, key: string): AsyncGenerator<Uint8Array, void, void> {
  const value = await backend.open(key);
  try {
    yield* readPieces((offset, length) => value.read(offset, length), value.byteLength);
  } finally {
    await value.close();
  }
}

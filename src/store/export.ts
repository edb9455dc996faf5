/** export: a version as an archive against its base. */
import { join } from 'node:path';
import { readPieces } from '../../formats/byte-source.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import { NotFoundError } from '../../formats/errors.js';
import { withAtomicFile } from '../io/atomic-output.js';
import { encode } from '../residual/encode.js';
import type { ExportOptions, ExportReport } from './api.js';
import { basePathOf } from './base-path.js';
import { checkoutVersion, commonOptions } from './checkout.js';
import { type StoredVersion, summaryOf } from './manifest.js';
import { ObjectReader } from './objects.js';
import type { StoredBase, StoreReader, Trace } from './store-reader.js';
import { withTemporaryFolder } from './temporary.js';
import { versionArchive, versionSource } from './version-archive.js';
import { whileStored } from './while-stored.js';

/** @throws NotFoundError for a base that is not at hand, where the version has to be decoded */
export async function exportVersion(
  reader: StoreReader,
  version: StoredVersion,
  options: ExportOptions,
): Promise<ExportReport> {
  return whileStored(reader, version, () => exportNow(reader, version, options));
}

async function exportNow(
  reader: StoreReader,
  version: StoredVersion,
  options: ExportOptions,
): Promise<ExportReport> {
  const base = await baseOf(reader, version);
  const trace = await reader.trace(version.manifest.tensors.map(({ digest }) => digest));
  const names = directNames(version, base, trace);
  if (names !== undefined) {
    const byteLength = await copyOut(reader, version, { base, trace, names, options });
    return { version: summaryOf(version), output: options.output, byteLength, isDirect: true };
  }
  return withTemporaryFolder(reader.backend, async (folder) => {
    const decoded = join(folder, 'decoded');
    const basePath = options.basePath === undefined ? {} : { basePath: options.basePath };
    await checkoutVersion(reader, version, { ...commonOptions(options), ...basePath, output: decoded });
    const { archiveByteLength } = await encode(decoded, {
      ...commonOptions(options),
      base: await basePathOf(reader, base, folder, options),
      baseName: base.ref.name,
      lossless: true,
      output: options.output,
      overwrite: options.overwrite ?? false,
    });
    return {
      version: summaryOf(version),
      output: options.output,
      byteLength: archiveByteLength,
      isDirect: false,
    };
  });
}

async function baseOf(reader: StoreReader, { manifest, id }: StoredVersion): Promise<StoredBase> {
  const bases = await reader.bases();
  const found = bases.find((base) => base.id === (manifest.base?.id ?? id));
  if (found !== undefined) return found;
  throw new NotFoundError(`${reader.backend.location}: base "${manifest.base?.name}" was removed`);
}

/**
 * By digest the base's names for what the version's tensors are coded against; undefined where some are not coded
 * against the base in one step.
 */
function directNames(
  { manifest }: StoredVersion,
  base: StoredBase,
  { recipes }: Trace,
): ReadonlyMap<Digest, string> | undefined {
  const names = new Map<Digest, string>();
  const layouts = new Map<string, string>();
  const layoutOf = (dtype: string, shape: readonly number[]): string => `${dtype} [${shape.join()}]`;
  for (const { name, digest, dtype, shape } of base.manifest.tensors) {
    names.set(digest, name);
    layouts.set(name, layoutOf(dtype, shape));
  }
  const isOfBase = (digest: Digest, dtype: string, shape: readonly number[]): boolean =>
    layouts.get(names.get(digest) ?? '') === layoutOf(dtype, shape);
  for (const { digest, dtype, shape } of manifest.tensors) {
    const recipe = recipes.get(digest);
    if (recipe === undefined) {
      if (!isOfBase(digest, dtype, shape)) return undefined;
      continue;
    }
    const { reference } = recipe;
    const isDirect = reference === undefined || isOfBase(reference.digest, reference.dtype, reference.shape);
    const isSame = layoutOf(recipe.dtype, recipe.shape) === layoutOf(dtype, shape);
    if (!isDirect || !isSame) return undefined;
  }
  return names;
}

interface DirectExport {
  readonly base: StoredBase;
  readonly trace: Trace;
  readonly names: ReadonlyMap<Digest, string>;
  readonly options: ExportOptions;
}

async function copyOut(
  reader: StoreReader,
  version: StoredVersion,
  { base, trace, names, options }: DirectExport,
): Promise<number> {
  const { tensors } = base.manifest;
  const kept = new Set(version.manifest.tensors.map(({ name }) => name));
  const archive = await versionArchive({
    backend: reader.backend,
    version,
    recipeOf: async (digest) => trace.recipes.get(digest),
    base: { name: base.ref.name, digest: base.manifest.digest, tensorCount: tensors.length },
    nameOf: ({ digest }) => names.get(digest)!,
    removed: tensors.flatMap(({ name }) => (kept.has(name) ? [] : [name])),
  });
  const objects = new ObjectReader(reader.backend);
  try {
    const source = versionSource(reader.backend.location, archive, objects);
    const output = { overwrite: options.overwrite ?? false, signal: options.signal };
    await withAtomicFile(options.output, output, async (file) => {
      for await (const bytes of readPieces(source.read, source.byteLength)) await file.write(bytes);
    });
    return source.byteLength;
  } finally {
    await objects.close();
  }
}

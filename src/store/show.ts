/** show: one version, tensor by tensor. */
import { relativeError } from '../../formats/ere/levels.js';
import type { Ref, ShowReport } from './api.js';
import { readNames } from './log.js';
import { summaryOf } from './manifest.js';
import { ownByteLength } from './recipe.js';
import type { StoreReader } from './store-reader.js';
import { chainOf } from './trace-cost.js';

export async function showVersion(reader: StoreReader, ref: Ref): Promise<ShowReport> {
  const version = await reader.resolve(ref);
  const { manifest } = version;
  const base = manifest.base && (await reader.findVersion(manifest.base.id));
  const baseDigests = new Map(base?.manifest.tensors.map(({ name, digest }) => [name, digest]));
  const tensors = await Promise.all(
    manifest.tensors.map(async (tensor) => {
      const { name, dtype, shape, digest } = tensor;
      const recipe = await reader.recipe(digest);
      return {
        name,
        dtype,
        shape,
        digest,
        isBase: baseDigests.get(name) === digest,
        depth: (await chainOf(reader, digest)).depth,
        byteLength: recipe === undefined ? 0 : ownByteLength(recipe),
        codecs: recipe?.terms.map(({ codec }) => codec) ?? [],
        relativeError: relativeError([tensor]),
      };
    }),
  );
  return {
    version: { ...summaryOf(version), names: (await readNames(reader)).get(version.id) ?? [] },
    encoding: manifest.encoding,
    tensors,
    sideFiles: manifest.sideFiles.map(({ path, digest, content }) => ({
      path,
      byteLength: content.byteLength,
      digest,
    })),
  };
}

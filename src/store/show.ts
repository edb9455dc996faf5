/** show: one version, tensor by tensor. */
import { relativeError } from '../../formats/ere/levels.js';
import type { Ref, ShowReport } from './api.js';
import { readNames } from './log.js';
import { summaryOf } from './manifest.js';
import { chunkKey, type Recipe } from './recipe.js';
import type { StoreReader } from './store-reader.js';
import { chainOf } from './trace-cost.js';

export async function showVersion(reader: StoreReader, ref: Ref): Promise<ShowReport> {
  const version = await reader.resolve(ref);
  const { manifest } = version;
  const base = manifest.base && (await reader.findVersion(manifest.base.id));
  const baseDigests = new Map(base?.manifest.tensors.map(({ name, digest }) => [name, digest]));
  const recipes = await Promise.all(manifest.tensors.map(({ digest }) => reader.recipe(digest)));
  const users = usersOfChunks(recipes);
  const tensors = await Promise.all(
    manifest.tensors.map(async (tensor, i) => {
      const { name, dtype, shape, digest } = tensor;
      const recipe = recipes[i];
      return {
        name,
        dtype,
        shape,
        digest,
        isBase: baseDigests.get(name) === digest,
        depth: (await chainOf(reader, digest)).depth,
        byteLength: partOf(recipe, users),
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

/** By chunk the recipes that have it. */
function usersOfChunks(recipes: readonly (Recipe | undefined)[]): ReadonlyMap<string, number> {
  const users = new Map<string, number>();
  for (const recipe of recipes)
    for (const chunk of recipe?.chunks ?? [])
      users.set(chunkKey(chunk), (users.get(chunkKey(chunk)) ?? 0) + 1);
  return users;
}

/** Bytes of a recipe; of a chunk that several have, an equal part. */
function partOf(recipe: Recipe | undefined, users: ReadonlyMap<string, number>): number {
  const parts = recipe?.chunks.map((chunk) => chunk.byteLength / users.get(chunkKey(chunk))!) ?? [];
  return Math.round(parts.reduce((sum, part) => sum + part, 0));
}

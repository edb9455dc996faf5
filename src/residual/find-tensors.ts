/** Tensors of an archive by name. */
import type { Archive } from '../../formats/ere/open-archive.js';
import { NotFoundError } from '../../formats/errors.js';

/**
 * Numbers of the named tensors, ascending and without repetition.
 * @throws NotFoundError naming the first that the archive lacks
 */
export function findTensors(archive: Archive, names: readonly string[]): number[] {
  const numbers = new Map(archive.index.tensors.map((tensor, i) => [tensor.name, i]));
  const found = names.map((name) => {
    const number = numbers.get(name);
    if (number === undefined) {
      throw new NotFoundError(
        `${archive.source.name}: no tensor ${JSON.stringify(name)} among ${numbers.size}; see ere inspect --tensors`,
      );
    }
    return number;
  });
  return [...new Set(found)].sort((x, y) => x - y);
}

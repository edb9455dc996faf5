/**
 * A version as an archive (docs/spec/store.md §8): an index in front of chunks that stay where they are, in objects. So
 * the archive's decoder checks and decodes versions, and an export only has to copy.
 */
import { assertRange, type ByteSource } from '../../formats/byte-source.js';
import { crc32 } from '../../formats/crc32.js';
import type { ArchiveTensor, ChunkBlob, Digest } from '../../formats/ere/archive-index.js';
import { decodedIdentities } from '../../formats/ere/levels.js';
import { type ArchiveDescription, layoutArchive } from '../../formats/ere/write-archive.js';
import { matrixView } from '../../formats/matrix-view.js';
import { PACKAGE_NAME, PACKAGE_VERSION } from '../version.js';
import type { StoreBackend } from './backend.js';
import type { ManifestTensor, StoredBlob, StoredVersion } from './manifest.js';
import { type ObjectReader, readObject } from './objects.js';
import { chunkKey, type Recipe } from './recipe.js';
import { type Reference, referenceName } from './tensor-source.js';

/** Bytes of an object. */
export interface Segment {
  readonly object: Digest;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** The bytes of an archive, by where they lie; structured-cloneable. */
export interface VersionArchive {
  /** Prelude and index. */
  readonly front: Uint8Array;
  /** The chunks, in order. */
  readonly segments: readonly Segment[];
}

export interface VersionArchiveInput {
  readonly backend: StoreBackend;
  readonly version: StoredVersion;
  /** Undefined for a tensor of a base. */
  readonly recipeOf: (digest: Digest) => Promise<Recipe | undefined>;
  readonly base: ArchiveDescription['base'];
  /** Names of the tensors that are referred to; default: as `TensorSource.references` has them. */
  readonly nameOf?: (reference: Reference) => string;
  readonly removed?: readonly string[];
}

export async function versionArchive(input: VersionArchiveInput): Promise<VersionArchive> {
  const { version, backend, recipeOf, nameOf = referenceName } = input;
  const { manifest } = version;
  const segments: Segment[] = [];
  const checksums: number[] = [];
  const numbers = new Map<string, number>();
  // Tensors share chunks, such as the basis of a subspace: these are in the archive once.
  const add = (segment: Segment, checksum: number): number => {
    const key = chunkKey(segment);
    const known = numbers.get(key);
    if (known !== undefined) return known;
    checksums.push(checksum);
    const number = segments.push(segment) - 1;
    numbers.set(key, number);
    return number;
  };
  const addBlob = async (blob: StoredBlob): Promise<ChunkBlob> => {
    const bytes = await readObject(backend, blob.object);
    const { byteLength } = bytes;
    const chunk = add({ object: blob.object, byteOffset: 0, byteLength }, crc32(bytes));
    return { chunk, byteLength: blob.byteLength, encoding: blob.encoding };
  };
  const files = [];
  for (const { path, byteLength, header } of manifest.files) {
    files.push({ path, byteLength, header: await addBlob(header) });
  }
  const sideFiles = [];
  for (const { content, ...file } of manifest.sideFiles) {
    sideFiles.push({ ...file, byteLength: content.byteLength, content: await addBlob(content) });
  }
  const tensors: ArchiveTensor[] = [];
  for (const tensor of manifest.tensors) {
    tensors.push(archiveTensor(tensor, await recipeOf(tensor.digest), nameOf, add));
  }
  const description: ArchiveDescription = {
    generator: `${PACKAGE_NAME} ${PACKAGE_VERSION}`,
    encoding: manifest.encoding,
    base: input.base,
    decoded: await decodedIdentities(tensors),
    codecs: [...new Set(tensors.flatMap(({ terms }) => terms.map(({ codec }) => codec)))].sort(),
    files,
    sideFiles,
    tensors,
    removed: input.removed ?? [],
  };
  const chunks = segments.map(({ byteLength }, i) => ({ byteLength, crc32: checksums[i]! }));
  return { front: (await layoutArchive(description, chunks)).front, segments };
}

function archiveTensor(
  tensor: ManifestTensor,
  recipe: Recipe | undefined,
  nameOf: NonNullable<VersionArchiveInput['nameOf']>,
  add: (segment: Segment, crc32: number) => number,
): ArchiveTensor {
  const { name, dtype, shape, file, digest, quality, lossy } = tensor;
  const own = { name, dtype, shape, file, digest };
  // Tensors of one digest may differ in dtype and shape: a recipe is that of one of them, and the others copy it.
  if (recipe === undefined || recipe.dtype !== dtype || recipe.shape.join() !== shape.join()) {
    const base = { name: nameOf(own), digest };
    return { ...own, base, columns: matrixView(shape).columns, terms: [] };
  }
  const { reference, chunks, terms, columns } = recipe;
  const numbers = chunks.map(({ crc32, ...segment }) => add(segment, crc32));
  return {
    ...own,
    ...(reference === undefined
      ? {}
      : {
          base: {
            name: nameOf(reference),
            ...(reference.dtype === dtype ? {} : { dtype: reference.dtype }),
            ...(reference.shape.join() === shape.join() ? {} : { shape: reference.shape }),
            digest: reference.digest,
          },
        }),
    columns,
    terms: terms.map((term) => ({ ...term, chunks: term.chunks.map((chunk) => numbers[chunk]!) })),
    ...(quality === undefined ? {} : { quality }),
    ...(lossy === undefined ? {} : { lossy }),
  };
}

/** The bytes of such an archive. */
export function versionSource(
  name: string,
  { front, segments }: VersionArchive,
  objects: ObjectReader,
): ByteSource {
  const starts = new Float64Array(segments.length + 1);
  starts[0] = front.byteLength;
  segments.forEach(({ byteLength }, i) => {
    starts[i + 1] = starts[i]! + byteLength;
  });
  const total = starts[segments.length]!;
  const read = async (offset: number, length: number, room?: Uint8Array): Promise<Uint8Array> => {
    assertRange(name, total, offset, length);
    if (offset + length <= front.byteLength) return front.subarray(offset, offset + length);
    const first = segmentAt(starts, offset);
    if (offset >= front.byteLength && offset + length <= starts[first + 1]!) {
      const { object, byteOffset } = segments[first]!;
      return objects.read(object, byteOffset + offset - starts[first]!, length, room);
    }
    const out = room ?? new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const position = offset + done;
      const isFront = position < front.byteLength;
      const end = isFront ? front.byteLength : starts[segmentAt(starts, position) + 1]!;
      const part = await read(position, Math.min(length - done, end - position));
      out.set(part, done);
      done += part.byteLength;
    }
    return out;
  };
  return { name, byteLength: total, read };
}

/** The last segment that starts at or before `offset`, and is not empty. */
function segmentAt(starts: Float64Array, offset: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (starts[middle]! <= offset) low = middle;
    else high = middle;
  }
  return low;
}

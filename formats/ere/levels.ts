/**
 * The levels at which an archive decodes (docs/spec/archive.md §4.5): _lossy_, and _exact_ where every tensor
 * is bit-exact, be it by itself or by exact terms on top of lossy ones.
 */
import type { ArchiveIndex, ArchiveTensor } from './archive-index.js';
import { checkpointIdentity } from './identity.js';
import type { ArchiveLayout } from './write-archive.js';

export type ArchiveLevel = 'lossy' | 'exact';

/** What decoding every term gives. */
export function bestLevel(index: Pick<ArchiveIndex, 'tensors'>): ArchiveLevel {
  return index.tensors.every(({ quality }) => quality === undefined) ? 'exact' : 'lossy';
}

/** What `lossyTensor` gave: what prefixes are worth is asked of every tensor many times. */
const lossyTensors = new WeakMap<ArchiveTensor, ArchiveTensor>();

/** The tensor without the exact terms that refine it; itself where there are none. */
export function lossyTensor(tensor: ArchiveTensor): ArchiveTensor {
  if (tensor.lossy === undefined) return tensor;
  let level = lossyTensors.get(tensor);
  if (level === undefined) {
    const { lossy, ...rest } = tensor;
    const { digest, quality } = lossy;
    level = { ...rest, digest, quality, terms: tensor.terms.slice(0, lossy.terms) };
    lossyTensors.set(tensor, level);
  }
  return level;
}

/**
 * ‖W_ft − Ŵ‖ / ‖W_ft − W_base‖ over some tensors; 0 when nothing was lost.
 * @param squaredResidual ‖W_ft − W_base‖² of all of them; default: of those that state it
 */
export function relativeError(
  tensors: readonly Pick<ArchiveTensor, 'quality' | 'lossy'>[],
  squaredResidual = statedResidual(tensors),
): number {
  const squaredError = tensors.reduce((sum, { quality }) => sum + (quality?.squaredError ?? 0), 0);
  return squaredResidual === 0 ? 0 : Math.sqrt(squaredError / squaredResidual);
}

/** A tensor that is exact by itself does not state its residual. */
function statedResidual(tensors: readonly Pick<ArchiveTensor, 'quality' | 'lossy'>[]): number {
  return tensors.reduce(
    (sum, { quality, lossy }) => sum + ((quality ?? lossy?.quality)?.squaredResidual ?? 0),
    0,
  );
}

/** The identities that `decoded` of an index holds: at its best level, and at the lossy one where they differ. */
export async function decodedIdentities(
  tensors: readonly ArchiveTensor[],
): Promise<Pick<ArchiveIndex['decoded'], 'digest' | 'lossyDigest'>> {
  const digest = await checkpointIdentity(tensors);
  if (tensors.every(({ lossy }) => lossy === undefined)) return { digest };
  return { digest, lossyDigest: await checkpointIdentity(tensors.map(lossyTensor)) };
}

/** The number of the first chunk behind every chunk that decoding at the lossy level reads. */
export function lossyChunkEnd({ files, sideFiles, tensors }: ArchiveIndex): number {
  let end = 0;
  for (const { header } of files) end = Math.max(end, header.chunk + 1);
  for (const { content } of sideFiles) end = Math.max(end, (content?.chunk ?? -1) + 1);
  for (const tensor of tensors) {
    for (const { chunks } of lossyTensor(tensor).terms) {
      for (const chunk of chunks) end = Math.max(end, chunk + 1);
    }
  }
  return end;
}

/** Length of the file up to the exact terms on top of lossy ones. */
export function lossyByteLength({ front, index }: ArchiveLayout): number {
  const chunks = index.chunks.slice(0, lossyChunkEnd(index));
  return chunks.reduce((sum, [byteLength]) => sum + byteLength, front.byteLength);
}

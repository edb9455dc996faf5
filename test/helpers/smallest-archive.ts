/**
 * The smallest archive that rebuilds a model file: one tensor, equal to its base. It is the example of
 * docs/spec/archive.md §12 and the golden file test/golden/smallest.ere.
 */
import { createHash } from 'node:crypto';
import type { Digest } from '../../formats/ere/archive-index.js';
import { checkpointIdentity } from '../../formats/ere/identity.js';
import { archiveBytes, ChunkCollector } from '../../formats/ere/write-archive.js';

/** One BF16 element, 1.0. */
export const SMALLEST_TENSOR = Uint8Array.of(0x80, 0x3f);

/** What a safetensors file with that tensor starts with: length of the JSON as u64, then the JSON. */
export function smallestHeader(): Uint8Array {
  const json = '{"w":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}';
  const padded = json.padEnd(Math.ceil(json.length / 8) * 8);
  const header = new Uint8Array(8 + padded.length);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded.length), true);
  header.set(new TextEncoder().encode(padded), 8);
  return header;
}

export async function smallestArchive(): Promise<Uint8Array> {
  const digest: Digest = `sha256:${createHash('sha256').update(SMALLEST_TENSOR).digest('hex')}`;
  const identity = await checkpointIdentity([{ name: 'w', dtype: 'BF16', shape: [1], digest }]);
  const collector = new ChunkCollector();
  const header = smallestHeader();
  const chunk = collector.add(header);
  const byteLength = header.byteLength;
  return archiveBytes(
    {
      generator: 'ere 0.1.0',
      encoding: {},
      base: { name: 'base', digest: identity, tensorCount: 1 },
      decoded: { digest: identity },
      codecs: [],
      files: [
        {
          path: 'model.safetensors',
          byteLength: byteLength + SMALLEST_TENSOR.byteLength,
          header: { chunk, byteLength, encoding: 'stored' },
        },
      ],
      sideFiles: [],
      tensors: [
        { name: 'w', dtype: 'BF16', shape: [1], file: 0, digest, base: { digest }, columns: 1, terms: [] },
      ],
      removed: [],
    },
    collector.chunks,
    { indexEncoding: 'stored' },
  );
}

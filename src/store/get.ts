/** get: a version as streams of tensors or files, for registries: nothing is written anywhere. */
import { tensorByteLength } from '../../formats/dtype.js';
import { NotFoundError } from '../../formats/errors.js';
import { throwIfAborted } from '../io/abort.js';
import { nodeRuntime } from '../io/node-runtime.js';
import type { DecodedTensor } from '../residual/api.js';
import { readArchiveLayout } from '../residual/archive-layout.js';
import { decodeVerified } from '../residual/decode-verified.js';
import { findTensors } from '../residual/find-tensors.js';
import type { StoredCheckpoint, StoreOptions } from './api.js';
import { type StoredVersion, summaryOf } from './manifest.js';
import type { StoreReader } from './store-reader.js';
import { openVersion } from './version-sources.js';

/** @throws NotFoundError for a base that is not at hand */
export async function openStored(
  reader: StoreReader,
  version: StoredVersion,
  { basePath, signal }: StoreOptions & { readonly basePath?: string },
): Promise<StoredCheckpoint> {
  const sources = await openVersion(reader, version, { basePath });
  const { archive, base } = sources;
  const { index } = archive;
  const runtime = nodeRuntime('wasm');
  const decodeTensor = async (number: number): Promise<DecodedTensor> => {
    throwIfAborted(signal);
    const { name, dtype, shape } = index.tensors[number]!;
    const bytes = new Uint8Array(tensorByteLength(dtype, shape)!);
    await decodeVerified({ archive, base, runtime }, number, (offset, block) => bytes.set(block, offset));
    return { name, dtype, shape, bytes };
  };
  return {
    version: summaryOf(version),
    files: [
      ...index.files.map(({ path, byteLength }) => ({ path, byteLength, kind: 'weights' as const })),
      ...index.sideFiles.map(({ path, byteLength }) => ({ path, byteLength, kind: 'side' as const })),
    ],
    async *tensors(names) {
      const numbers = names === undefined ? index.tensors.map((_, i) => i) : findTensors(archive, names);
      for (const number of numbers) yield await decodeTensor(number);
    },
    async *file(path) {
      const side = index.sideFiles.find((file) => file.path === path);
      if (side?.content !== undefined) {
        yield await archive.readBlob(side.content);
        return;
      }
      const number = index.files.findIndex((file) => file.path === path);
      if (number === -1) throw new NotFoundError(`${archive.source.name} has no file ${path}`);
      const { headers, placements } = await readArchiveLayout(archive);
      yield headers[number]!;
      const inFile = placements.filter(({ output }) => output === number);
      for (const { tensor } of inFile.sort((x, y) => x.outputOffset - y.outputOffset)) {
        yield (await decodeTensor(tensor)).bytes;
      }
    },
    close: () => sources.close(),
  };
}

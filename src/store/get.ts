/** get: a version as streams of tensors or files, for registries: nothing is written anywhere. */
import { tensorByteLength } from '../../formats/dtype.js';
import { NotFoundError } from '../../formats/errors.js';
import { throwIfAborted } from '../io/abort.js';
import { nodeRuntime } from '../io/node-runtime.js';
import { unlessMissing } from '../io/unless-missing.js';
import type { DecodedTensor } from '../residual/api.js';
import { readArchiveLayout } from '../residual/archive-layout.js';
import { decodeVerified } from '../residual/decode-verified.js';
import { findTensors } from '../residual/find-tensors.js';
import type { StoredCheckpoint, StoreOptions } from './api.js';
import { type StoredVersion, summaryOf } from './manifest.js';
import type { StoreReader } from './store-reader.js';
import { openVersion, type VersionSources } from './version-sources.js';
import { whileStored } from './while-stored.js';

/** @throws NotFoundError for a base that is not at hand */
export async function openStored(
  reader: StoreReader,
  version: StoredVersion,
  { basePath, signal }: StoreOptions & { readonly basePath?: string },
): Promise<StoredCheckpoint> {
  const opened: VersionSources[] = [];
  const open = async (): Promise<VersionSources> => {
    const sources = await openVersion(reader, version, { basePath });
    opened.push(sources);
    return sources;
  };
  const { archive } = await whileStored(reader, version, open);
  const { index } = archive;
  const runtime = nodeRuntime('wasm');
  /** On the sources that are open, then on new ones. The old are kept: another stream may read from them. */
  const reading = async <T>(read: (sources: VersionSources) => Promise<T>): Promise<T> => {
    const found = await unlessMissing(read(opened.at(-1)!));
    if (found !== undefined) return found;
    reader.refresh();
    return whileStored(reader, version, async () => read(await open()));
  };
  const decodeTensor = async (number: number): Promise<DecodedTensor> => {
    throwIfAborted(signal);
    const { name, dtype, shape } = index.tensors[number]!;
    const bytes = new Uint8Array(tensorByteLength(dtype, shape)!);
    await reading(({ archive, base }) =>
      decodeVerified({ archive, base, runtime }, number, (offset, block) => bytes.set(block, offset)),
    );
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
        const { content } = side;
        yield await reading((sources) => sources.archive.readBlob(content));
        return;
      }
      const number = index.files.findIndex((file) => file.path === path);
      if (number === -1) throw new NotFoundError(`${archive.source.name} has no file ${path}`);
      const { headers, placements } = await reading((sources) => readArchiveLayout(sources.archive));
      yield headers[number]!;
      const inFile = placements.filter(({ output }) => output === number);
      for (const { tensor } of inFile.sort((x, y) => x.outputOffset - y.outputOffset)) {
        yield (await decodeTensor(tensor)).bytes;
      }
    },
    close: async () => {
      await Promise.all(opened.splice(0).map((sources) => sources.close()));
    },
  };
}

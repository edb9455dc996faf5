/** base add: what a base is, by digests, and where it lies; with `keep` its tensors too. */
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { TensorInfo } from '../../formats/checkpoint.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import { checkpointIdentity } from '../../formats/ere/identity.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { ConflictError } from '../../formats/errors.js';
import { serializeSafetensorsHeader } from '../../formats/safetensors/serialize-header.js';
import { serializeSketch } from '../../formats/sketch/serialize-sketch.js';
import { nodeRuntime } from '../io/node-runtime.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import { encode } from '../residual/encode.js';
import { sketchCheckpoint } from '../sketch/sketch-checkpoint.js';
import type { AddBaseOptions, BaseSummary } from './api.js';
import type { StoreBackend } from './backend.js';
import { commonOptions } from './checkout.js';
import { digestCheckpoint } from './describe-checkpoint.js';
import { assertName } from './layout.js';
import { withSharedLock } from './locks.js';
import { type Manifest, type ManifestTensor, shortId } from './manifest.js';
import { writeBlob } from './objects.js';
import { publishArchive } from './publish.js';
import { withArchive } from './record-version.js';
import { readRef, updateRef } from './refs.js';
import { baseSummary, type StoreReader } from './store-reader.js';
import { withTemporaryFolder } from './temporary.js';
import { writeVersion } from './versions.js';

/** Places of a base that are remembered. */
const MAX_LOCATIONS = 8;

/** @throws ConflictError where the name is that of another base */
export async function addBase(
  reader: StoreReader,
  name: string,
  path: string,
  options: AddBaseOptions,
): Promise<BaseSummary> {
  assertName('base', name);
  const { backend } = reader;
  const location = resolve(path);
  const description = await describeBase(name, location, options);
  const { manifest } = description;
  const register = async (): Promise<BaseSummary> => {
    const known = await readRef(backend, 'base', name);
    const before = known && (await reader.version(known.id));
    if (before !== undefined && before.manifest.digest !== manifest.digest) {
      throw new ConflictError(
        `${backend.location}: base "${name}" is another one (${before.manifest.digest}), and ${path} is ${manifest.digest}; take another name`,
      );
    }
    const version = before ?? (await writeVersion(backend, await withBlobs(reader, location, description)));
    const ref = await updateRef(backend, 'base', name, (current) => {
      if (current !== undefined && current.id !== version.id) {
        throw new ConflictError(
          `${backend.location}: base "${name}" was added meanwhile as ${shortId(current.id)}`,
        );
      }
      const others = (current?.locations ?? []).filter((other) => other !== location);
      return {
        id: version.id,
        locations: [location, ...others].slice(0, MAX_LOCATIONS),
        isKept: options.keep === true || current?.isKept === true,
      };
    });
    return baseSummary({ ref: ref!, ...version });
  };
  if (options.keep !== true) return withSharedLock(backend, options, register);
  return withWholeArchive(backend, location, options, (archive) =>
    withSharedLock(backend, options, async () => {
      reader.refresh();
      await publishArchive(reader, archive, { replace: () => true });
      return register();
    }),
  );
}

/** Runs `use` with an archive of every tensor that refers to no base: coded against a checkpoint without tensors. */
async function withWholeArchive<T>(
  backend: StoreBackend,
  location: string,
  options: AddBaseOptions,
  use: (archive: Archive) => Promise<T>,
): Promise<T> {
  return withTemporaryFolder(backend, async (folder) => {
    const nothing = join(folder, 'nothing.safetensors');
    await writeFile(nothing, serializeSafetensorsHeader([]));
    const output = join(folder, 'base.ere');
    await encode(location, {
      ...commonOptions(options),
      base: nothing,
      output,
      lossless: true,
      force: true,
      sideFiles: false,
    });
    return withArchive(output, use);
  });
}

interface BaseDescription {
  readonly manifest: Omit<Manifest, 'files' | 'sideFiles' | 'addedByteLength' | 'sketch'>;
  /** By path. */
  readonly fileDigests: ReadonlyMap<string, Digest>;
}

async function describeBase(
  name: string,
  location: string,
  { signal, onEvent, revision }: AddBaseOptions,
): Promise<BaseDescription> {
  const checkpoint = await openCheckpoint(location);
  try {
    const tensors: ManifestTensor[] = [];
    const totalByteLength = [...checkpoint.tensors.values()].reduce(
      (sum, { byteLength }) => sum + byteLength,
      0,
    );
    let doneByteLength = 0;
    const onTensor = ({ name: tensor, dtype, shape, file, byteLength }: TensorInfo, digest: Digest): void => {
      tensors.push({ name: tensor, dtype, shape, file, digest });
      doneByteLength += byteLength;
      const progress = { phase: 'analyse', doneByteLength, totalByteLength, tensor } as const;
      onEvent?.({ kind: 'progress', progress });
    };
    const fileDigests = await digestCheckpoint(checkpoint, { signal, onTensor });
    const manifest: BaseDescription['manifest'] = {
      kind: 'base',
      model: name,
      message: '',
      createdAt: new Date().toISOString(),
      parents: [],
      base: undefined,
      reference: undefined,
      digest: await checkpointIdentity(tensors),
      fineTunedByteLength: checkpoint.files.reduce((sum, { byteLength }) => sum + byteLength, 0),
      relativeError: 0,
      decodeCost: 0,
      directByteLength: 0,
      encoding: revision === undefined ? {} : { revision },
      tensors,
    };
    return { manifest, fileDigests };
  } finally {
    await checkpoint.close();
  }
}

/** The manifest with headers and side files, so that a base can be checked out from wherever its tensors are. */
async function withBlobs(
  reader: StoreReader,
  location: string,
  { manifest, fileDigests }: BaseDescription,
): Promise<Manifest> {
  const checkpoint = await openCheckpoint(location);
  try {
    let addedByteLength = 0;
    const write = async (content: Uint8Array) => {
      const written = await writeBlob(reader.backend, content);
      addedByteLength += written.addedByteLength;
      return written.blob;
    };
    const files = [];
    for (const { path, byteLength, header } of checkpoint.files) {
      const digest = fileDigests.get(path);
      files.push({
        path,
        byteLength,
        ...(digest === undefined ? {} : { digest }),
        header: await write(header),
      });
    }
    const digests = new Map(manifest.tensors.map(({ name, digest }) => [name, digest]));
    const sketch = await sketchCheckpoint(checkpoint, nodeRuntime('wasm'), { digests });
    return {
      ...manifest,
      files,
      sideFiles: [],
      sketch: await write(await serializeSketch(sketch)),
      addedByteLength,
    };
  } finally {
    await checkpoint.close();
  }
}

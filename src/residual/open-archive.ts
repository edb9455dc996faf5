/** An archive on disk, open: its index, and its tensors one at a time, for registries that stream. */

import { tensorByteLength } from '../../formats/dtype.js';
import type { ArchiveIndex } from '../../formats/ere/archive-index.js';
import { type Archive, openArchive as openArchiveSource } from '../../formats/ere/open-archive.js';
import { EreError } from '../../formats/errors.js';
import { KNOWN_CODECS } from '../codecs/known-codecs.js';
import { openFileSource } from '../io/file-source.js';
import { inflateAtOnce } from '../io/inflate-at-once.js';
import { nodeRuntime } from '../io/node-runtime.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import type { DecodedTensor, DecodeTensorsOptions, TensorReport } from './api.js';
import { assertBaseLayout } from './archive-base.js';
import { assertIdentity } from './archive-identity.js';
import { decodeVerified } from './decode-verified.js';
import { findTensors } from './find-tensors.js';
import { tensorReport } from './tensor-report.js';

export interface OpenArchive {
  readonly path: string;
  readonly byteLength: number;
  readonly index: ArchiveIndex;
  /** In the order of the checkpoint. */
  readonly tensors: readonly TensorReport[];
  /**
   * Rebuilds tensors one after another, each whole in memory and checked before it is given out.
   * Time and bytes read are proportional to what is taken.
   * @throws NotFoundError for an unknown name; CheckpointMismatchError, IntegrityError, CodecError as decode
   */
  decodeTensors(options: DecodeTensorsOptions): AsyncGenerator<DecodedTensor, void, void>;
  close(): Promise<void>;
}

/** @throws EreError as decode for a file that is not a whole archive */
export async function openArchive(path: string): Promise<OpenArchive> {
  const source = await openFileSource(path);
  try {
    const archive = await openArchiveSource(source, { codecs: KNOWN_CODECS, inflate: inflateAtOnce });
    await assertIdentity(archive);
    const { index, byteLength } = archive;
    return {
      path,
      byteLength,
      index,
      tensors: index.tensors.map((_, i) => tensorReport(index, i)),
      decodeTensors: (options) => decodeTensors(archive, options),
      close: () => source.close(),
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function* decodeTensors(
  archive: Archive,
  options: DecodeTensorsOptions,
): AsyncGenerator<DecodedTensor, void, void> {
  const { tensors } = archive.index;
  const numbers =
    options.tensors === undefined ? tensors.map((_, i) => i) : findTensors(archive, options.tensors);
  const base = await openCheckpoint(options.base);
  try {
    assertBaseLayout(archive.index, base);
    const runtime = nodeRuntime(options.kernels ?? 'wasm');
    for (const number of numbers) {
      if (options.signal?.aborted)
        throw new EreError('ERE_ABORTED', 'aborted', { cause: options.signal.reason });
      const { name, dtype, shape } = tensors[number]!;
      const bytes = new Uint8Array(tensorByteLength(dtype, shape)!);
      await decodeVerified({ archive, base, runtime }, number, (offset, block) => bytes.set(block, offset));
      yield { name, dtype, shape, bytes };
    }
  } finally {
    await base.close();
  }
}

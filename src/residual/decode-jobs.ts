/**
 * The decoder's work on single tensors, run by the worker pool: a whole tensor from archive and base to bytes in an
 * output file, or one block or digest of a tensor that several threads share.
 */
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import { type ArchiveContents, lazyArchive } from '../../formats/ere/lazy-archive.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { openFileSource } from '../io/file-source.js';
import { type SharedFile, sharedFileSource } from '../io/growing-file.js';
import { inflateAtOnce } from '../io/inflate-at-once.js';
import { nodeCrc32 } from '../io/node-crc32.js';
import { nodeRuntime } from '../io/node-runtime.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import { type OpenOutputFile, openOutputFile } from '../io/output-file.js';
import type { JobRunner } from '../io/worker-pool.js';
import type { KernelPath } from '../kernels/kernels.js';
import { baseTensorOf } from './archive-base.js';
import { ChunkRooms } from './chunk-rooms.js';
import { type Comparison, createComparer } from './compare-decoded.js';
import { BlockRooms } from './decode-tensor.js';
import { type DecodeSources, decodeVerified } from './decode-verified.js';
import type { Hasher } from './runtime.js';
import { type Selection, selectTensor } from './select-tensors.js';
import { type Block, openTensorDecoder, type TensorDecoder } from './tensor-decoder.js';

export interface DecodeJobsInit<Sources = FileSources> {
  /** What each thread opens for itself. */
  readonly sources: Sources;
  readonly kernels: KernelPath;
  readonly selection: Selection;
  /** Output files, there already. */
  readonly outputs: readonly string[];
  /** Checkpoint to compare the decoded tensors with. */
  readonly against: string | undefined;
  readonly blockElements: number;
  /** As in DecodeSources. */
  readonly checkBase: boolean;
}

/** An archive, by its path or open in another thread, and the path of its base. */
export interface FileSources {
  readonly archive: string | SharedFile;
  /** Of the archive, as it was opened. */
  readonly contents: ArchiveContents;
  readonly base: string;
}

/** Archive and base, open. */
export interface OpenSources {
  readonly archive: Archive;
  readonly base: Checkpoint;
  close(): Promise<void>;
}

/** One tensor from first to last byte. */
export interface TensorJob {
  readonly kind: 'tensor';
  /** Index into the archive's tensors. */
  readonly tensor: number;
  /** Index into the outputs; undefined to decode without writing. */
  readonly output: number | undefined;
  /** Offset of the tensor in its output file. */
  readonly outputOffset: number;
}

/** What the blocks of a tensor are. */
export interface OpenJob {
  readonly kind: 'open';
  readonly tensor: number;
}

/** One block; base bytes and room for the output are shared memory. */
export interface BlockJob {
  readonly kind: 'block';
  readonly tensor: number;
  /** Number of the block. */
  readonly block: number;
  readonly base: Uint8Array;
  readonly out: Uint8Array;
}

/** The next bytes of a digest, which lives on the worker it began on. */
export interface HashJob {
  readonly kind: 'hash';
  /** Any string. */
  readonly stream: string;
  readonly bytes: Uint8Array;
}

/** The end of a digest. */
export interface DigestJob {
  readonly kind: 'digest';
  readonly stream: string;
}

/** Drops what a worker holds of a tensor. */
export interface CloseJob {
  readonly kind: 'close';
  readonly tensor: number;
}

export type DecodeJob = TensorJob | OpenJob | BlockJob | HashJob | DigestJob | CloseJob;

export interface DecodeJobResult {
  /** Of the decoded bytes of a tensor, or of a digest's. */
  readonly digest?: Digest;
  readonly comparison?: Comparison | undefined;
  /** Of an OpenJob. */
  readonly opened?: Pick<TensorDecoder, 'blocks' | 'baseByteLength' | 'isBase'>;
}

/** Threads that run jobs wait for nothing else. */
const PROMPT = { isPrompt: true };

export async function openJobs(init: DecodeJobsInit): Promise<JobRunner<DecodeJob, DecodeJobResult>> {
  return openDecodeJobs(init, await openFileSources(init.sources));
}

/** The runner of a module that opens sources of another kind. */
export async function openDecodeJobs(
  init: DecodeJobsInit<unknown>,
  sources: OpenSources,
): Promise<JobRunner<DecodeJob, DecodeJobResult>> {
  const { archive, base } = sources;
  const against = init.against === undefined ? undefined : await openCheckpoint(init.against, PROMPT);
  const outputs = await Promise.all(init.outputs.map((path) => openOutputFile(path, PROMPT)));
  const { selection, blockElements, checkBase } = init;
  const runtime = nodeRuntime(init.kernels);
  const rooms = new BlockRooms(runtime.kernels);
  const chunkRooms = new ChunkRooms(archive);
  return new DecodeJobs({
    sources,
    archive,
    base,
    against,
    outputs,
    runtime,
    selection,
    blockElements,
    checkBase,
    rooms,
    chunkRooms,
  });
}

export async function openFileSources({ archive, contents, base }: FileSources): Promise<OpenSources> {
  const source =
    typeof archive === 'string' ? await openFileSource(archive, PROMPT) : sharedFileSource(archive);
  const checkpoint = await openCheckpoint(base, PROMPT);
  const close = async (): Promise<void> => {
    await Promise.all([source.close(), checkpoint.close()]);
  };
  return { archive: lazyArchive(source, contents, inflateAtOnce, nodeCrc32), base: checkpoint, close };
}

interface OpenFiles extends DecodeSources {
  readonly rooms: BlockRooms;
  readonly sources: OpenSources;
  readonly against: Checkpoint | undefined;
  readonly outputs: readonly OpenOutputFile[];
  readonly selection: Selection;
  readonly blockElements: number;
  readonly chunkRooms: ChunkRooms;
}

class DecodeJobs implements JobRunner<DecodeJob, DecodeJobResult> {
  readonly #files: OpenFiles;
  /** Open tensors that are decoded block by block. */
  readonly #decoders = new Map<number, TensorDecoder>();
  readonly #hashers = new Map<string, Hasher>();

  constructor(files: OpenFiles) {
    this.#files = files;
  }

  async run(job: DecodeJob): Promise<DecodeJobResult> {
    switch (job.kind) {
      case 'tensor':
        return this.#decodeTensor(job);
      case 'open': {
        const { blocks, baseByteLength, isBase } = await this.#decoder(job.tensor);
        return { opened: { blocks, baseByteLength, isBase } };
      }
      case 'block':
        return this.#decodeBlock(job);
      case 'hash':
        this.#hasher(job.stream).update(job.bytes);
        return {};
      case 'digest': {
        const digest = this.#hasher(job.stream).digest();
        this.#hashers.delete(job.stream);
        return { digest };
      }
      case 'close':
        this.#decoders.get(job.tensor)?.close();
        this.#decoders.delete(job.tensor);
        return {};
    }
  }

  async close(): Promise<void> {
    const { sources, against, outputs, rooms } = this.#files;
    rooms.free();
    await Promise.all([sources.close(), against?.close(), ...outputs.map((output) => output.close())]);
  }

  async #decodeTensor(job: TensorJob): Promise<DecodeJobResult> {
    const { archive, base, against, outputs, runtime } = this.#files;
    const output = job.output === undefined ? undefined : outputs[job.output];
    const tensor = archive.index.tensors[job.tensor]!;
    const compare = against && createComparer({ against, base, tensor, kernels: runtime.kernels });
    const digest = await decodeVerified(this.#files, job.tensor, async (byteOffset, bytes) => {
      await output?.writeAt(job.outputOffset + byteOffset, bytes);
      await compare?.add(byteOffset, bytes);
    });
    return { digest, comparison: compare?.result() };
  }

  async #decodeBlock({ tensor, block, base, out }: BlockJob): Promise<DecodeJobResult> {
    const decoder = await this.#decoder(tensor);
    const { bytes } = await decoder.decode(decoder.blocks[block] as Block, base, out);
    if (bytes !== out) out.set(bytes);
    return {};
  }

  async #decoder(index: number): Promise<TensorDecoder> {
    const open = this.#decoders.get(index);
    if (open !== undefined) return open;
    const { archive, base, runtime, selection, blockElements, chunkRooms } = this.#files;
    const { tensor } = selectTensor(archive, index, selection);
    const decoder = await openTensorDecoder({
      tensor,
      archive: archive.source.name,
      readChunk: chunkRooms.read,
      releaseChunk: chunkRooms.release,
      hasBase: baseTensorOf(base, tensor) !== undefined,
      runtime,
      blockElements,
    });
    this.#decoders.set(index, decoder);
    return decoder;
  }

  #hasher(stream: string): Hasher {
    let hasher = this.#hashers.get(stream);
    if (hasher === undefined) {
      hasher = this.#files.runtime.createHasher();
      this.#hashers.set(stream, hasher);
    }
    return hasher;
  }
}

/** The decoder's work on single tensors, run by the worker pool: from archive and base to bytes in an output file. */
import type { Checkpoint } from '../../formats/checkpoint.js';
import { DTYPES, type FloatDtype, isFloatDtype } from '../../formats/dtype.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import { openArchive } from '../../formats/ere/open-archive.js';
import { KNOWN_CODECS } from '../codecs/registry.js';
import { type FileSource, openFileSource } from '../io/file-source.js';
import { nodeRuntime } from '../io/node-runtime.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import { type OpenOutputFile, openOutputFile } from '../io/output-file.js';
import type { JobRunner } from '../io/worker-pool.js';
import type { KernelPath } from '../kernels/kernels.js';
import { baseTensorOf } from './archive-base.js';
import { BlockRooms } from './decode-tensor.js';
import { type DecodeSources, decodeVerified } from './decode-verified.js';
import type { Selection } from './select-tensors.js';

export interface DecodeJobsInit {
  readonly archive: string;
  readonly base: string;
  readonly kernels: KernelPath;
  readonly selection: Selection;
  /** Output files, there already. */
  readonly outputs: readonly string[];
  /** Checkpoint to compare the decoded tensors with. */
  readonly against: string | undefined;
}

export interface DecodeJob {
  /** Index into the archive's tensors. */
  readonly tensor: number;
  /** Index into the outputs; undefined to decode without writing. */
  readonly output: number | undefined;
  /** Offset of the tensor in its output file. */
  readonly outputOffset: number;
}

/** How a decoded tensor compares with the one of the same name in `against`. */
export interface Comparison {
  readonly isEqual: boolean;
  /** ‖Ŵ − W‖² where both are the same float dtype and shape; else 0. */
  readonly squaredDistance: number;
  /** ‖W_base − W‖² over the rows that the base has, 0 without a float base. */
  readonly squaredResidual: number;
}

export interface DecodeJobResult {
  /** Of the decoded bytes. */
  readonly digest: Digest;
  readonly comparison: Comparison | undefined;
}

export async function openJobs(init: DecodeJobsInit): Promise<JobRunner<DecodeJob, DecodeJobResult>> {
  const source = await openFileSource(init.archive);
  // Whether the file may be cut short was decided where the selection was made.
  const archive = await openArchive(source, { codecs: KNOWN_CODECS, allowTruncated: true });
  const base = await openCheckpoint(init.base);
  const against = init.against === undefined ? undefined : await openCheckpoint(init.against);
  const outputs = await Promise.all(init.outputs.map((path) => openOutputFile(path)));
  const { selection } = init;
  const runtime = nodeRuntime(init.kernels);
  const rooms = new BlockRooms();
  return new DecodeJobs({ source, archive, base, against, outputs, runtime, selection, rooms });
}

interface OpenFiles extends DecodeSources {
  readonly source: FileSource;
  readonly against: Checkpoint | undefined;
  readonly outputs: readonly OpenOutputFile[];
}

class DecodeJobs implements JobRunner<DecodeJob, DecodeJobResult> {
  readonly #files: OpenFiles;

  constructor(files: OpenFiles) {
    this.#files = files;
  }

  async run(job: DecodeJob): Promise<DecodeJobResult> {
    const output = job.output === undefined ? undefined : this.#files.outputs[job.output];
    const compare = this.#comparer(this.#files.archive.index.tensors[job.tensor]!.name);
    const digest = await decodeVerified(this.#files, job.tensor, async (byteOffset, bytes) => {
      await output?.writeAt(job.outputOffset + byteOffset, bytes);
      await compare?.add(byteOffset, bytes);
    });
    return { digest, comparison: compare?.result() };
  }

  async close(): Promise<void> {
    const { source, base, against, outputs } = this.#files;
    await Promise.all([
      source.close(),
      base.close(),
      against?.close(),
      ...outputs.map((output) => output.close()),
    ]);
  }

  /** Collects the distance of one tensor to its counterpart in `against`; undefined without one. */
  #comparer(
    name: string,
  ): { add(byteOffset: number, bytes: Uint8Array): Promise<void>; result(): Comparison } | undefined {
    const { against, archive, base, runtime } = this.#files;
    if (against === undefined) return undefined;
    const original = against.tensors.get(name);
    const tensor = archive.index.tensors.find((candidate) => candidate.name === name)!;
    const sameLayout = original?.dtype === tensor.dtype && original.shape.join() === tensor.shape.join();
    const isFloat = isFloatDtype(tensor.dtype);
    const baseTensor = baseTensorOf(base, tensor);
    const hasResidual = isFloat && baseTensor !== undefined && isFloatDtype(baseTensor.dtype);
    let isEqual = sameLayout;
    let squaredDistance = 0;
    let squaredResidual = 0;
    return {
      async add(byteOffset, bytes) {
        if (!sameLayout) return;
        const expected = await against.read(name, byteOffset, bytes.byteLength);
        isEqual &&= equalBytes(bytes, expected);
        if (!isFloat) return;
        squaredDistance += runtime.kernels.squaredDistance(tensor.dtype as FloatDtype, bytes, expected);
        if (!hasResidual) return;
        // Elements keep their numbers: a base differs in its first dimension at most.
        const [width, baseWidth] = [DTYPES[tensor.dtype].bits / 8, DTYPES[baseTensor.dtype].bits / 8];
        const first = byteOffset / width;
        const count = Math.min(expected.byteLength / width, baseTensor.byteLength / baseWidth - first);
        if (count <= 0) return;
        const basis = await base.read(baseTensor.name, first * baseWidth, count * baseWidth);
        const [dtype, baseDtype] = [tensor.dtype, baseTensor.dtype] as [FloatDtype, FloatDtype];
        const residual = new Float32Array(count);
        runtime.kernels.subtract(dtype, expected.subarray(0, count * width), baseDtype, basis, residual);
        squaredResidual += runtime.kernels.statistics(residual).sumOfSquares;
      },
      result: () => ({ isEqual, squaredDistance, squaredResidual }),
    };
  }
}

function equalBytes(x: Uint8Array, y: Uint8Array): boolean {
  return x.byteLength === y.byteLength && x.every((byte, i) => byte === y[i]);
}

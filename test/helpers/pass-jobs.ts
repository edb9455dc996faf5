/** A job module of threads that share products of a generated matrix, and count the blocks that each has made. */
import { threadId } from 'node:worker_threads';
import type { Crew, JobRunner } from '../../src/io/worker-pool.js';
import { loadKernels } from '../../src/kernels/load-kernels.js';
import { createKernelEngine } from '../../src/linalg/kernel-engine.js';
import { createMatrix, type Matrix, rowRange } from '../../src/linalg/matrix.js';
import { type MatrixStream, type StreamSharing, streamMatrix } from '../../src/linalg/matrix-stream.js';
import { type SharedPass, workOnPass } from '../../src/linalg/shared-pass.js';
import { streamProducts } from '../../src/linalg/stream-products.js';
import { normalFloats } from '../kernels/samples.js';
import { digestOf } from './archive-builder.js';

export interface PassMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly rowBlock: number;
}

export interface PassJobsInit {
  readonly matrix: PassMatrix;
  /** Blocks made, by thread: [of who asked, of others]. */
  readonly made: SharedArrayBuffer;
}

/** Who cannot read a block. */
export type Failing = 'nobody' | 'asker' | 'others';

export type PassJob =
  /** `isAlone` keeps the others out; without it, whoever asks waits before its second block for another's first. */
  | {
      readonly kind: 'multiply';
      readonly width: number;
      readonly isAlone: boolean;
      readonly failing: Failing;
    }
  | { readonly kind: 'share'; readonly pass: SharedPass; readonly failing: Failing };

export interface PassJobResult {
  /** Digests of R · x and of Rᵀ · R · x. */
  readonly forward: string;
  readonly backward: string;
  readonly energy: number;
}

export function passMatrix({ rows, columns }: PassMatrix): Matrix {
  return createMatrix(rows, columns, normalFloats(rows * columns, 7));
}

function bytesOf({ data }: Matrix): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

export async function openJobs(
  { matrix: shape, made: counters }: PassJobsInit,
  _port: unknown,
  crew: Crew<PassJob> | undefined,
): Promise<JobRunner<PassJob, PassJobResult | undefined>> {
  const kernels = loadKernels('wasm');
  const engine = createKernelEngine({
    name: 'wasm',
    kernel: (transposeA, m, n, k, a, b, c, accumulate) =>
      kernels.gemm({ transposeA, m, n, k, a, b, c, accumulate }),
  });
  const made = new Int32Array(counters);
  const { rows, rowBlock } = shape;
  const matrix = passMatrix(shape);

  const source = (place: 0 | 1, isFailing: boolean, waits: boolean) => ({
    ...shape,
    isInMemory: place === 0,
    async readBlock(block: number) {
      if (isFailing && Atomics.load(made, place) > 0) throw new Error(`thread ${threadId} cannot read`);
      while (waits && Atomics.load(made, 0) > 0 && Atomics.load(made, 1) === 0)
        await new Promise((resolve) => setTimeout(resolve, 1));
      Atomics.add(made, place, 1);
      return rowRange(matrix, block * rowBlock, Math.min(rows, (block + 1) * rowBlock));
    },
  });

  return {
    async run(job) {
      if (job.kind === 'share') {
        await workOnPass(source(1, job.failing === 'others', false), job.pass, engine);
        return undefined;
      }
      const { width, isAlone, failing } = job;
      const sharing: StreamSharing = {
        ...source(0, failing === 'asker', !isAlone),
        idle: crew!.idle,
        offer: (pass) => crew!.offer({ kind: 'share', pass, failing }),
      };
      const stream: MatrixStream = {
        ...streamMatrix(matrix, { rowBlock }),
        sharing: isAlone ? undefined : sharing,
      };
      const products = streamProducts(stream, { engine });
      const x = createMatrix(shape.columns, width, normalFloats(shape.columns * width, 8));
      const forward = await products.forward(x);
      const backward = await products.backward(forward);
      return {
        forward: digestOf(bytesOf(forward)),
        backward: digestOf(bytesOf(backward)),
        energy: await products.energy(),
      };
    },
    async close() {},
  };
}

/**
 * One pass over the row blocks of a matrix R, made by several threads: each takes the next block that nobody has, and
 * what comes of it goes into shared memory. Sums over blocks are added in the order of the blocks, whoever has made
 * them, so that the bits are those of one thread.
 *
 * Whoever begins a pass works on it like the others, so that it needs none of them; where one of them fails, it makes
 * the pass alone.
 */
import type { GemmEngine } from './gemm-engine.js';
import { addInto } from './gemm-shapes.js';
import { createMatrix, type Matrix, squaredNorm } from './matrix.js';
import type { BlockSource } from './matrix-stream.js';

/** What a thread is told of a pass; all arrays in shared memory, but for those that whoever begins it has as well. */
export interface SharedPass {
  /** 'forward': R_i · x for each block; 'backward': Σ R_iᵀ · y_i. */
  readonly kind: 'forward' | 'backward';
  /** Columns of the operand. */
  readonly width: number;
  readonly firstBlock: number;
  readonly blockCount: number;
  /** x (columns × width), or y (the rows of these blocks × width). */
  readonly operand: Float32Array;
  /** The rows of these blocks × width, or columns × width, to which the sum is added. */
  readonly result: Float32Array;
  /** Receives ‖R_i‖² by block of R; empty where it is not wanted. */
  readonly energies: Float64Array;
  readonly control: Int32Array;
}

/** Places in `control`: blocks that were taken, blocks that are done, whether somebody failed. */
const TAKEN = 0;
const DONE = 1;
const FAILED = 2;

/** Longest wait without a turn of the event loop, in which a thread hears that it is to stop. */
const WAIT_MS = 20;

/** Shared memory for so many floats. */
export function sharedFloats(length: number): Float32Array {
  return new Float32Array(new SharedArrayBuffer(length * Float32Array.BYTES_PER_ELEMENT));
}

export function createControl(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT));
}

/** Lets nobody begin another block, and ends every wait. */
function failPass({ control }: SharedPass): void {
  Atomics.store(control, FAILED, 1);
  Atomics.notify(control, DONE);
}

/** Whether every block is done, once nobody works on one any more; false where somebody failed. */
export function passEnd({ control, blockCount }: SharedPass): Promise<boolean> {
  return waitFor(control, (done) => done === blockCount);
}

async function waitFor(control: Int32Array, isReached: (done: number) => boolean): Promise<boolean> {
  for (;;) {
    const done = Atomics.load(control, DONE);
    if (Atomics.load(control, FAILED) !== 0) return false;
    if (isReached(done)) return true;
    if (Atomics.wait(control, DONE, done, WAIT_MS) === 'timed-out') {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

interface Taken {
  /** Among those of the pass. */
  readonly index: number;
  readonly matrix: Promise<Matrix>;
}

/**
 * Works on blocks until none is left; the number of them. Fails the pass where it throws.
 * @param own the operand in memory of this thread; default: a copy
 */
export async function workOnPass(
  source: BlockSource,
  pass: SharedPass,
  engine: GemmEngine,
  own?: Matrix,
): Promise<number> {
  const { control, blockCount, firstBlock } = pass;
  const rooms: Float32Array[] = [];
  let taken = 0;
  const take = (): Taken | undefined => {
    if (Atomics.load(control, FAILED) !== 0) return undefined;
    const index = Atomics.add(control, TAKEN, 1);
    if (index >= blockCount) return undefined;
    const place = taken++ % 2;
    const matrix = source.readBlock(firstBlock + index, () => {
      rooms[place] ??= new Float32Array(source.rowBlock * source.columns);
      return rooms[place];
    });
    matrix.catch(() => {}); // Told when it is awaited.
    return { index, matrix };
  };
  try {
    let next = take();
    if (next === undefined) return 0;
    const step =
      pass.kind === 'forward'
        ? forwardStep(source, pass, engine, own)
        : backwardStep(source, pass, engine, own);
    while (next !== undefined) {
      const { index, matrix } = next;
      const block = await matrix;
      // The bytes of another block come while this one is worked on.
      next = source.isInMemory ? undefined : take();
      if (pass.energies.length > 0) pass.energies[firstBlock + index] = squaredNorm(block);
      if (!(await step(index, block))) break;
      next ??= take();
    }
    return taken;
  } catch (error) {
    failPass(pass);
    throw error;
  }
}

/** What is done with one block; false where the pass has failed meanwhile. */
type Step = (index: number, block: Matrix) => Promise<boolean>;

function forwardStep(
  { rowBlock, columns }: BlockSource,
  { operand, width, result, control }: SharedPass,
  engine: GemmEngine,
  own: Matrix | undefined,
): Step {
  // A copy that the engine takes: native code knows no shared memory.
  const x = own ?? createMatrix(columns, width, new Float32Array(operand));
  const room = new Float32Array(rowBlock * width);
  return async (index, block) => {
    const into = createMatrix(block.rows, width, room.subarray(0, block.rows * width));
    await engine.multiply(block, x, { into });
    result.set(into.data, index * rowBlock * width);
    Atomics.add(control, DONE, 1);
    Atomics.notify(control, DONE);
    return Atomics.load(control, FAILED) === 0;
  };
}

function backwardStep(
  { rowBlock, columns }: BlockSource,
  { operand, width, result, control, firstBlock }: SharedPass,
  engine: GemmEngine,
  own: Matrix | undefined,
): Step {
  const into = createMatrix(columns, width);
  return async (index, block) => {
    const start = index * rowBlock * width;
    const end = start + block.rows * width;
    const rows =
      own === undefined ? new Float32Array(operand.subarray(start, end)) : own.data.subarray(start, end);
    await engine.multiply(block, createMatrix(block.rows, width, rows), { transposeA: true, into });
    if (!(await waitFor(control, (done) => done === index))) return false;
    if (firstBlock + index === 0) result.set(into.data);
    else addInto(result, into.data);
    Atomics.store(control, DONE, index + 1);
    Atomics.notify(control, DONE);
    return true;
  };
}

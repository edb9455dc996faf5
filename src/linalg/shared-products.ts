/** Products of a matrix R (m × n) with tall matrices, its row blocks divided among threads (shared-pass.ts). */
import type { GemmEngine } from './gemm-engine.js';
import { createMatrix, type Matrix, rowRange } from './matrix.js';
import type { StreamSharing } from './matrix-stream.js';
import { createControl, passEnd, type SharedPass, sharedFloats, workOnPass } from './shared-pass.js';

/** Shared memory for the rows of operand or result that are worked on at a time: longer passes are made in parts. */
const ROWS_BYTE_LIMIT = 2 ** 24;

/** Least blocks of a part: whoever is done with theirs waits for the others. */
const LEAST_BLOCKS = 8;

export interface SharedProduct {
  readonly product: Matrix;
  /** ‖R_i‖² by block, where it was asked for. */
  readonly energies: Float64Array;
}

export interface SharedProductOptions {
  readonly engine: GemmEngine;
  readonly measuresEnergy: boolean;
}

/** R · x for x: n × k; undefined where another thread has failed. */
export async function sharedForward(
  sharing: StreamSharing,
  x: Matrix,
  options: SharedProductOptions,
): Promise<SharedProduct | undefined> {
  const operand = sharedFloats(x.data.length);
  operand.set(x.data);
  const product = createMatrix(sharing.rows, x.columns);
  const energies = await inParts(sharing, x.columns, options, async (part, makePass) => {
    const result = part.room;
    const isWhole = await makePass({ kind: 'forward', operand, result }, x);
    if (isWhole) rowRange(product, part.start, part.end).data.set(result);
    return isWhole;
  });
  return energies && { product, energies };
}

/** Rᵀ · y for y: m × k; undefined where another thread has failed. */
export async function sharedBackward(
  sharing: StreamSharing,
  y: Matrix,
  options: SharedProductOptions,
): Promise<SharedProduct | undefined> {
  const { columns } = sharing;
  const result = sharedFloats(columns * y.columns);
  const energies = await inParts(sharing, y.columns, options, async (part, makePass) => {
    const own = rowRange(y, part.start, part.end);
    part.room.set(own.data);
    return makePass({ kind: 'backward', operand: part.room, result }, own);
  });
  return energies && { product: createMatrix(columns, y.columns, new Float32Array(result)), energies };
}

/** Rows [start, end), and shared memory for as many of operand or result. */
interface Part {
  readonly start: number;
  readonly end: number;
  readonly room: Float32Array;
}

/** Whether the pass is whole. @param own the operand as it lies in memory of this thread */
type MakePass = (pass: Pick<SharedPass, 'kind' | 'operand' | 'result'>, own: Matrix) => Promise<boolean>;

/** Has the passes over all parts made, one after another; ‖R_i‖² by block, or undefined where one is not whole. */
async function inParts(
  sharing: StreamSharing,
  width: number,
  { engine, measuresEnergy }: SharedProductOptions,
  make: (part: Part, makePass: MakePass) => Promise<boolean>,
): Promise<Float64Array | undefined> {
  const { rows, rowBlock } = sharing;
  const blocks = Math.ceil(rows / rowBlock);
  const rowByteLength = width * Float32Array.BYTES_PER_ELEMENT;
  const step = Math.max(LEAST_BLOCKS, Math.floor(ROWS_BYTE_LIMIT / (rowBlock * rowByteLength)));
  const room = sharedFloats(Math.min(rows, step * rowBlock) * width);
  const energyByteLength = measuresEnergy ? blocks * Float64Array.BYTES_PER_ELEMENT : 0;
  const energies = new Float64Array(new SharedArrayBuffer(energyByteLength));
  for (let firstBlock = 0; firstBlock < blocks; firstBlock += step) {
    const blockCount = Math.min(step, blocks - firstBlock);
    const start = firstBlock * rowBlock;
    const end = Math.min(rows, start + blockCount * rowBlock);
    const part = { start, end, room: room.subarray(0, (end - start) * width) };
    const isWhole = await make(part, async (pass, own) => {
      const shared = { ...pass, width, firstBlock, blockCount, energies, control: createControl() };
      const withdraw = sharing.offer(shared);
      try {
        await workOnPass(sharing, shared, engine, own);
        return await passEnd(shared);
      } finally {
        withdraw();
      }
    });
    if (!isWhole) return undefined;
  }
  return energies;
}

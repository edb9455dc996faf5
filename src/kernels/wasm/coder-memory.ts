/** Linear memories of single coders of matrices, which are used again once a coder is freed. */
import { checkColumns } from '../arguments.js';
import type { InstantiateKernels, KernelExports } from './kernel-exports.js';

export const PAGE_BYTES = 65_536;
/** Entries of a call. */
const CODER_BLOCK = 16_384;
/** Slack behind the arrays of a row: vector loops run over their ends. */
export const SLACK = 64;

export function align(address: number): number {
  return Math.ceil(address / 64) * 64;
}

/** One coder's memory. Its contents are those of its last use. */
export class CoderMemory {
  readonly kernels: KernelExports;
  readonly #memory = new WebAssembly.Memory({ initial: 4 });
  bytes!: Uint8Array;
  words!: Uint32Array;
  shorts!: Int16Array;
  floats!: Float32Array;

  constructor(instantiate: InstantiateKernels) {
    this.kernels = instantiate(this.#memory);
    this.#renewViews();
  }

  /** Grows to at least `byteLength` bytes, which renews the views. */
  reserve(byteLength: number): void {
    const missing = byteLength - this.bytes.byteLength;
    if (missing <= 0) return;
    this.#memory.grow(Math.ceil(missing / PAGE_BYTES));
    this.#renewViews();
  }

  #renewViews(): void {
    this.bytes = new Uint8Array(this.#memory.buffer);
    this.words = new Uint32Array(this.#memory.buffer);
    this.shorts = new Int16Array(this.#memory.buffer);
    this.floats = new Float32Array(this.#memory.buffer);
  }
}

/** Memories that are not in use. */
export class CoderPool {
  readonly #instantiate: InstantiateKernels;
  readonly #free: CoderMemory[] = [];

  constructor(instantiate: InstantiateKernels) {
    this.#instantiate = instantiate;
  }

  take(): CoderMemory {
    return this.#free.pop() ?? new CoderMemory(this.#instantiate);
  }

  /** Keeps small memories only: a large one is better given back to the machine. */
  give(memory: CoderMemory): void {
    if (this.#free.length < 4 && memory.bytes.byteLength <= 16 * 1024 * 1024) this.#free.push(memory);
  }
}

/** A coder over a memory that is its own until it is freed. */
export abstract class PooledCoder {
  protected readonly columns: number;
  readonly #pool: CoderPool;
  #memory: CoderMemory | undefined;

  /** @throws RangeError */
  constructor(pool: CoderPool, columns: number, states = 1) {
    checkColumns(columns, states);
    this.columns = columns;
    this.#pool = pool;
    this.#memory = pool.take();
  }

  protected get memory(): CoderMemory {
    if (this.#memory === undefined) throw new TypeError('expected a coder in use, got one that was freed');
    return this.#memory;
  }

  /** Rows of a call. */
  protected get blockRows(): number {
    return Math.max(1, Math.floor(CODER_BLOCK / Math.max(1, this.columns)));
  }

  free(): void {
    if (this.#memory !== undefined) this.#pool.give(this.#memory);
    this.#memory = undefined;
  }
}

/**
 * The linear memory of one set of kernels: a scratch region that every call lays out anew; behind it an
 * operand region that keeps the packed right operand of the last product, so that row blocks of one tensor
 * do not copy it again; a coder region with the state of the last entropy coder; and regions that callers fill and read in
 * place, a residual block and rooms for blocks of tensors. All are bounded, whatever the tensors' sizes; memory grows to what
 * was needed. Views go stale in `reserve`, which renews those that are held here; who is given one has it at its largest.
 */
import { type KernelRooms, MAX_RESIDUAL_BLOCK } from '../kernels.js';
import type { InstantiateKernels, KernelExports } from './kernel-exports.js';

const PAGE_BYTES = 65_536;

/** Room for the largest scratch of any kernel: 4 rows of MAX_PRODUCT_K float64 twice, and an output. */
export const SCRATCH_BYTES = 5 * 1024 * 1024;

/** Default size of the operand region. */
export const OPERAND_BYTES = 8 * 1024 * 1024;

/** Room for an entropy coder: registers, contexts, columns and a payload. */
export const CODER_BYTES = 5 * 1024 * 1024;

/** Room for a residual block. */
const RESIDUAL_BYTES = MAX_RESIDUAL_BLOCK * 4;

/** Rooms for blocks of tensors: two of the base and two of what is decoded. */
const ROOM_COUNT = 4;

/** A block of 16-bit weights as the decoder cuts them, twice; larger ones are worked on in other memory. */
const ROOM_BYTES = 4 * 1024 * 1024;

/** First usable address; below lie lanes, states and the edge tile, and from 1024 on a table of codec "interval". */
export const SCRATCH_START = 4096;

/** Address of the operand region. */
export const OPERAND_START = SCRATCH_BYTES;

/** Slack behind every buffer: vector loops run past the end by less than this. */
const SLACK_BYTES = 64;

/** Whose state lies in the coder region. */
export interface CoderOwner {
  /** Keeps what it needs of the region, because another coder takes it. */
  evict(): void;
}

export class Arena {
  readonly kernels: KernelExports;
  /** Size of the operand region. */
  readonly operandByteLength: number;
  /** What lies in the operand region: a token of its owner, undefined when nothing of use. */
  operand: unknown;
  /** Address of the coder region. */
  readonly coderStart: number;
  /** Address of the residual region. */
  readonly #residualStart: number;
  /** Address of the rooms. */
  readonly #roomsStart: number;
  readonly #end: number;
  #areRoomsTaken = false;
  #coderOwner: CoderOwner | undefined;
  readonly #memory: WebAssembly.Memory;
  #bytes!: Uint8Array;
  #int16!: Int16Array;
  #float32!: Float32Array;
  #float64!: Float64Array;

  constructor(instantiate: InstantiateKernels, operandByteLength: number = OPERAND_BYTES) {
    this.operandByteLength = operandByteLength;
    this.coderStart = Math.ceil((OPERAND_START + operandByteLength + SLACK_BYTES) / 64) * 64;
    this.#residualStart = Math.ceil((this.coderStart + CODER_BYTES + SLACK_BYTES) / 64) * 64;
    this.#roomsStart = this.#residualStart + RESIDUAL_BYTES + SLACK_BYTES;
    this.#end = this.#roomsStart + ROOM_COUNT * (ROOM_BYTES + SLACK_BYTES);
    this.#memory = new WebAssembly.Memory({ initial: 1, maximum: Math.ceil(this.#end / PAGE_BYTES) });
    this.kernels = instantiate(this.#memory);
    this.#renewViews();
  }

  get byteLength(): number {
    return this.#bytes.byteLength;
  }

  /** The whole memory; valid until the next `reserve`. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  get int16(): Int16Array {
    return this.#int16;
  }

  get float32(): Float32Array {
    return this.#float32;
  }

  get float64(): Float64Array {
    return this.#float64;
  }

  /**
   * Lays buffers of the given byte lengths into the scratch region, and returns their addresses,
   * which are multiples of 64. The contents are whatever the last call left.
   */
  layOut(...byteLengths: number[]): number[] {
    let end = SCRATCH_START;
    const addresses = byteLengths.map((byteLength) => {
      const address = end;
      end = Math.ceil((address + byteLength + SLACK_BYTES) / 64) * 64;
      return address;
    });
    if (end > SCRATCH_BYTES)
      throw new RangeError(`expected at most ${SCRATCH_BYTES} bytes of scratch, got ${end}`);
    this.reserve(end);
    return addresses;
  }

  /**
   * The first `count` floats of the residual region, for callers that hand it to kernels as an output: these
   * then work in place. The memory is at its largest from then on (untouched pages cost nothing), so that the view
   * stays good.
   */
  residual(count: number): Float32Array {
    if (count > MAX_RESIDUAL_BLOCK)
      throw new RangeError(`expected at most ${MAX_RESIDUAL_BLOCK} residuals, got ${count}`);
    this.reserve(this.#end);
    return new Float32Array(this.#memory.buffer, this.#residualStart, count);
  }

  /** The rooms, for one owner at a time: undefined while another has them. */
  takeRooms(): KernelRooms | undefined {
    if (this.#areRoomsTaken) return undefined;
    this.#areRoomsTaken = true;
    this.reserve(this.#end);
    let isHeld = true;
    return {
      room: (index, byteLength) => {
        if (byteLength > ROOM_BYTES || index >= ROOM_COUNT) return undefined;
        const start = this.#roomsStart + index * (ROOM_BYTES + SLACK_BYTES);
        return new Uint8Array(this.#memory.buffer, start, byteLength);
      },
      free: () => {
        if (isHeld) this.#areRoomsTaken = false;
        isHeld = false;
      },
    };
  }

  /** The address of values that lie in this memory; undefined for any others. */
  addressOf(values: ArrayBufferView): number | undefined {
    return values.buffer === this.#bytes.buffer ? values.byteOffset : undefined;
  }

  /**
   * Gives the coder region to `owner`. True when its state is still there; otherwise the last owner is
   * evicted, and the region holds anything.
   */
  claimCoder(owner: CoderOwner): boolean {
    if (this.#coderOwner === owner) return true;
    this.#coderOwner?.evict();
    this.#coderOwner = owner;
    this.reserve(this.coderStart + CODER_BYTES);
    return false;
  }

  /** Takes the coder region back from an owner that needs it no more. */
  releaseCoder(owner: CoderOwner): void {
    if (this.#coderOwner === owner) this.#coderOwner = undefined;
  }

  /** Grows the memory to at least `byteLength`, and renews the views. */
  reserve(byteLength: number): void {
    const missing = byteLength - this.byteLength;
    if (missing <= 0) return;
    this.#memory.grow(Math.ceil(missing / PAGE_BYTES));
    this.#renewViews();
  }

  #renewViews(): void {
    const buffer = this.#memory.buffer;
    this.#bytes = new Uint8Array(buffer);
    this.#int16 = new Int16Array(buffer);
    this.#float32 = new Float32Array(buffer);
    this.#float64 = new Float64Array(buffer);
  }
}

/** The bytes under a typed array. */
export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

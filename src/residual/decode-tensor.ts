/**
 * Rebuilds one tensor block by block. Every byte of the base tensor is read once, in order and one block ahead, and
 * hashed on the way, as is every byte that is given out. Writing a block overlaps with decoding the next.
 */
import type { KernelRooms, Kernels } from '../kernels/kernels.js';
import type { DecodedDigests } from './assert-digests.js';
import { blockSteps, type Step, stepsOf } from './decode-steps.js';
import type { ReadTensor, Runtime } from './runtime.js';
import { type Block, openTensorDecoder, type TensorDecoder } from './tensor-decoder.js';
import type { TensorPiecesInput } from './tensor-pieces.js';

export interface DecodeTensorInput extends Omit<TensorPiecesInput, 'withValues'> {
  /** Receives the decoded bytes in order; one call after the other's promise settled; until then it may keep `bytes`. */
  readonly write: (byteOffset: number, bytes: Uint8Array) => void | Promise<void>;
  readonly runtime: Runtime;
  /** Memory for blocks, used again from tensor to tensor; default: new memory. */
  readonly rooms?: BlockRooms;
  /** Hash the base as well; default true. */
  readonly hashBase?: boolean;
}

/** Room for two blocks of the base and two of the output: the kernels' own where they have it, others beyond. */
export class BlockRooms {
  readonly #rooms: Uint8Array[] = [];
  readonly #ofKernels: KernelRooms | undefined;

  /** @param kernels whose rooms are taken until `free`; default: none */
  constructor(kernels?: Kernels) {
    this.#ofKernels = kernels?.takeRooms();
  }

  /** @param index 0 to 3 */
  room(index: number, byteLength: number): Uint8Array {
    const own = this.#ofKernels?.room(index, byteLength);
    if (own !== undefined) return own;
    let room = this.#rooms[index];
    if (room === undefined || room.byteLength < byteLength) {
      room = new Uint8Array(byteLength);
      this.#rooms[index] = room;
    }
    return room.subarray(0, byteLength);
  }

  free(): void {
    this.#ofKernels?.free();
  }
}

/** @throws CodecError, UnsupportedError; digests are the caller's to compare. */
export async function decodeTensor(input: DecodeTensorInput): Promise<DecodedDigests> {
  const decoder = await openTensorDecoder({ ...input, hasBase: input.readBase !== undefined });
  try {
    return await decodeBlocks(input, decoder);
  } finally {
    decoder.close();
  }
}

async function decodeBlocks(input: DecodeTensorInput, decoder: TensorDecoder): Promise<DecodedDigests> {
  const { readBase, runtime, write, rooms = new BlockRooms(), hashBase = true } = input;
  const baseHash = readBase === undefined || !hashBase ? undefined : runtime.createHasher();
  const hash = decoder.isBase && baseHash !== undefined ? undefined : runtime.createHasher();
  const steps = hashBase ? stepsOf(decoder) : blockSteps(decoder);
  const reader = new AheadReader(steps, readBase, rooms);
  /** The write of the block before: one at a time, and in order. */
  let writing: Promise<void> | undefined;
  let count = 0;
  try {
    for (let step = reader.next(); step !== undefined; step = reader.next()) {
      const base = await step.base;
      baseHash?.update(base);
      if (step.block === undefined) continue;
      const { byteOffset, byteLength } = step.block;
      const { bytes } = await decoder.decode(step.block, base, rooms.room(2 + (count++ % 2), byteLength));
      hash?.update(bytes);
      await writing;
      writing = Promise.resolve(write(byteOffset, bytes));
      writing.catch(() => {}); // It is awaited when the next block is decoded.
      if (bytes === base) reader.keepUntil(writing);
    }
  } finally {
    // Nothing reads into or writes from the rooms behind our back, whatever failed.
    await Promise.allSettled([writing, reader.settled()]);
  }
  await writing;
  const base = baseHash?.digest();
  return base === undefined ? { decoded: hash!.digest() } : { decoded: hash?.digest() ?? base, base };
}

/** Reads the base of each step while the step before it is worked on. */
class AheadReader {
  readonly #steps: Iterator<Step>;
  readonly #read: ReadTensor | undefined;
  readonly #rooms: BlockRooms;
  /** When the rooms are free: what was read into them may still be written from. */
  readonly #busy: (void | Promise<void>)[] = [];
  #ahead: { readonly block: Block | undefined; readonly base: Promise<Uint8Array> } | undefined;
  #count = 0;

  constructor(steps: Iterator<Step>, read: ReadTensor | undefined, rooms: BlockRooms) {
    this.#steps = steps;
    this.#read = read;
    this.#rooms = rooms;
    this.#ahead = this.#start();
  }

  next(): { readonly block: Block | undefined; readonly base: Promise<Uint8Array> } | undefined {
    const current = this.#ahead;
    this.#ahead = current === undefined ? undefined : this.#start();
    return current;
  }

  /** Keeps the room of the step that `next` gave last until `done` settles. */
  keepUntil(done: void | Promise<void>): void {
    // `#count` is ahead of it by the step that is being read.
    this.#busy[(this.#ahead === undefined ? this.#count - 1 : this.#count - 2) % 2] = done;
  }

  /** Settles when nothing is read any more. */
  async settled(): Promise<void> {
    await this.#ahead?.base.catch(() => {});
  }

  #start() {
    const { done, value } = this.#steps.next();
    if (done) return undefined;
    const slot = this.#count++ % 2;
    const base = this.#fill(value, slot);
    base.catch(() => {}); // It is awaited when its turn comes.
    return { block: value.block, base };
  }

  async #fill({ baseOffset, baseLength }: Step, slot: number): Promise<Uint8Array> {
    if (baseLength === 0) return new Uint8Array(0);
    await this.#busy[slot];
    return this.#read!(baseOffset, baseLength, this.#rooms.room(slot, baseLength));
  }
}

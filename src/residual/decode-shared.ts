/**
 * Decodes one large tensor on all threads, block by block. Blocks go through a ring of shared memory: this thread
 * reads the base ahead and writes the output, workers decode blocks side by side (those of a chain on one worker, in
 * order), and the digests of base and output follow in order on a worker each. No byte is copied between threads.
 */
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import type { OpenOutputFile } from '../io/output-file.js';
import type { WorkerPool } from '../io/worker-pool.js';
import type { DecodedDigests } from './assert-digests.js';
import type { DecodeJob, DecodeJobResult } from './decode-jobs.js';
import { blockSteps, type Step, stepsOf } from './decode-steps.js';

export interface DecodeSharedInput {
  readonly pool: WorkerPool<DecodeJob, DecodeJobResult>;
  /** Index into the archive's tensors. */
  readonly tensor: number;
  readonly base: Checkpoint;
  /** Name of the base tensor; undefined for an added one. */
  readonly baseName: string | undefined;
  /** Whether the base is hashed. */
  readonly hashBase: boolean;
  /** Where the bytes go; undefined to decode without writing. */
  readonly output: OpenOutputFile | undefined;
  readonly outputOffset: number;
}

/** Memory of one block on its way. */
interface Slot {
  base: Uint8Array;
  out: Uint8Array;
}

/** @throws what the workers throw; digests are the caller's to compare. */
export async function decodeShared(input: DecodeSharedInput): Promise<DecodedDigests> {
  const { pool, tensor, baseName } = input;
  const { opened } = (await pool.run({ kind: 'open', tensor }, undefined, true)).result;
  const hashBase = input.hashBase && baseName !== undefined;
  const steps = [...(hashBase ? stepsOf(opened!) : blockSteps(opened!))];
  const numbers = new Map(opened!.blocks.map((block, i) => [block, i]));
  const streams = {
    base: `base ${tensor}`,
    // All of it is the base's bytes: so is its digest.
    decoded: opened!.isBase && hashBase ? undefined : `decoded ${tensor}`,
  };
  const lanes = lanesOf(pool.threads);
  const ring = new Ring(pool.threads + 2);
  const chain = createChain();
  const baseHash = createChain();
  const decodedHash = createChain();
  const failed = rejection();
  const hash = async (stream: string, bytes: Uint8Array, worker: number): Promise<void> => {
    await pool.run({ kind: 'hash', stream, bytes }, worker, true);
  };

  // What goes in order is entered at once, in the order of the steps: reads may end in any.
  const decodeStep = async (step: Step, slot: Slot): Promise<unknown> => {
    const { baseOffset, baseLength, block } = step;
    const base = roomIn(slot, 'base', baseLength);
    const read = readBase(input, baseOffset, base);
    const done: Promise<unknown>[] = [read];
    if (hashBase && baseLength > 0) {
      const work = baseHash(async () => {
        await read;
        await hash(streams.base, base, lanes.base);
      });
      done.push(work);
    }
    if (block === undefined) return Promise.all(done);
    const out = roomIn(slot, 'out', block.byteLength);
    const decodeBlock = async (worker?: number): Promise<void> => {
      await read;
      await pool.run({ kind: 'block', tensor, block: numbers.get(block)!, base, out }, worker, true);
    };
    const decoded = block.chain === undefined ? decodeBlock() : chain(() => decodeBlock(lanes.chain));
    const write = async (): Promise<void> => {
      await decoded;
      await input.output?.writeAt(input.outputOffset + block.byteOffset, out);
    };
    done.push(write());
    const { decoded: stream } = streams;
    if (stream !== undefined) {
      const work = decodedHash(async () => {
        await decoded;
        await hash(stream, out, lanes.decoded);
      });
      done.push(work);
    }
    return Promise.all(done);
  };

  for (const step of steps) {
    const slot = await Promise.race([ring.take(), failed.promise]);
    decodeStep(step, slot).then(() => ring.give(slot), failed.reject);
  }
  await Promise.race([ring.drain(), failed.promise]);
  const digest = async (stream: string, worker: number): Promise<Digest> =>
    (await pool.run({ kind: 'digest', stream }, worker, true)).result.digest!;
  const baseDigest = !hashBase ? undefined : await digest(streams.base, lanes.base);
  const decoded = streams.decoded === undefined ? baseDigest! : await digest(streams.decoded, lanes.decoded);
  for (let worker = 0; worker < pool.threads; worker++)
    await pool.run({ kind: 'close', tensor }, worker, true);
  return baseDigest === undefined ? { decoded } : { decoded, base: baseDigest };
}

/** Workers of what has to go in order: the chain, which takes longest, has one for itself where there are three. */
function lanesOf(threads: number): { chain: number; base: number; decoded: number } {
  return { chain: 0, base: 1 % threads, decoded: threads > 2 ? 2 : threads - 1 };
}

async function readBase(
  { base, baseName }: DecodeSharedInput,
  offset: number,
  room: Uint8Array,
): Promise<void> {
  if (room.byteLength === 0) return;
  const bytes = await base.read(baseName!, offset, room.byteLength, room);
  if (bytes !== room) room.set(bytes);
}

function roomIn(slot: Slot, part: keyof Slot, byteLength: number): Uint8Array {
  if (slot[part].byteLength < byteLength) slot[part] = new Uint8Array(new SharedArrayBuffer(byteLength));
  return slot[part].subarray(0, byteLength);
}

/** Slots that are free, and whoever waits for one. */
class Ring {
  readonly #size: number;
  readonly #free: Slot[] = [];
  readonly #waiting: ((slot: Slot) => void)[] = [];
  #onDrain: (() => void) | undefined;

  constructor(size: number) {
    this.#size = size;
    for (let i = 0; i < size; i++) this.#free.push({ base: new Uint8Array(0), out: new Uint8Array(0) });
  }

  take(): Promise<Slot> {
    const slot = this.#free.pop();
    return slot === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(slot);
  }

  give(slot: Slot): void {
    const next = this.#waiting.shift();
    if (next !== undefined) next(slot);
    else if (this.#free.push(slot) === this.#size) this.#onDrain?.();
  }

  /** Settles when every slot is free. */
  drain(): Promise<void> {
    if (this.#free.length === this.#size) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onDrain = resolve;
    });
  }
}

/** Runs what it is given one after another. */
function createChain(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const next = last.then(work);
    // Whoever waits for the work is told of its failure, and the work behind it fails with it.
    next.catch(() => {});
    last = next;
    return next;
  };
}

function rejection(): { readonly promise: Promise<never>; readonly reject: (error: unknown) => void } {
  let reject!: (error: unknown) => void;
  const promise = new Promise<never>((_, fail) => {
    reject = fail;
  });
  promise.catch(() => {});
  return { promise, reject };
}

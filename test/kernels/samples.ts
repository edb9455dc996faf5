/** Inputs for the kernel tests: awkward floats, deterministic random data, arrays at odd addresses. */
import { loadKernels } from '../../src/kernels/load-kernels.js';

export const PATHS = ['wasm', 'scalar'] as const;
export const wasm = loadKernels('wasm');
export const scalar = loadKernels('scalar');

/** Sizes around vector widths, tiles and blocks. */
export const SIZES = [0, 1, 3, 4, 5, 7, 8, 9, 12, 13, 31, 257, 16_383, 16_384, 16_389];

/** Deterministic 32-bit generator (mulberry32). */
export function randomBits(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
}

export function randomBytes(length: number, seed: number): Uint8Array {
  const next = randomBits(seed);
  return Uint8Array.from({ length }, () => next() & 0xff);
}

/** Any float32 bit patterns: every exponent is equally likely, NaN and infinity included. */
export function randomFloatBits(length: number, seed: number): Float32Array {
  const next = randomBits(seed);
  return new Float32Array(Uint32Array.from({ length }, next).buffer);
}

/** Roughly normal values with the given spread. */
export function normalFloats(length: number, seed: number, spread = 1): Float32Array {
  const next = randomBits(seed);
  return Float32Array.from({ length }, () => {
    let sum = 0;
    for (let i = 0; i < 6; i++) sum += next() / 2 ** 32 - 0.5;
    return sum * Math.SQRT2 * spread;
  });
}

export function randomIntegers(length: number, seed: number, bound: number): number[] {
  const next = randomBits(seed);
  return Array.from({ length }, () => (next() % (2 * bound + 1)) - bound);
}

/** The same bytes at an address that is `offset` past a multiple of 8. */
export function atOffset(bytes: Uint8Array, offset: number): Uint8Array {
  const moved = new Uint8Array(bytes.byteLength + 8 + offset).subarray(offset, offset + bytes.byteLength);
  moved.set(bytes);
  return moved;
}

/** The bytes of an array, for comparisons that see NaN payloads and the sign of zero. */
export function bytesOf(array: ArrayBufferView): Buffer {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength);
}

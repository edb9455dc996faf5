/** A coder that writes nothing: what an adaptive model's codes come to. */
import type { BitCoder, Contexts } from '../../src/kernels/scalar/range-coder.js';

/** Adds up −log2 of the probabilities that a model gives. */
export class CountingCoder implements BitCoder {
  readonly decoding = false;
  bits = 0;

  bit(contexts: Contexts, context: number, value: number, fastShift: number, slowShift: number): number {
    const zero = contexts.zero(context) / 32_768;
    this.bits -= Math.log2(value === 0 ? zero : 1 - zero);
    contexts.update(context, value, fastShift, slowShift);
    return value;
  }

  raw(value: number, bits: number): number {
    this.bits += bits;
    return value >>> 0;
  }
}

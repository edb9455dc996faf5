/**
 * The adaptive binary range coder of docs/spec/codecs.md §5. Encoder and decoder have one interface, so
 * that a model is written once: a decoder ignores the values it is given and returns those it read.
 */

/** Ends of the estimates, so that no probability comes closer than 24/32768 to 0 or 1. */
const FAST_LOW = 48;
const FAST_HIGH = 65_488;
const SLOW_LOW = FAST_LOW * 65_536;
const SLOW_HIGH = FAST_HIGH * 65_536;

/** Bits of a context that are counted. */
const COUNT_LIMIT = 511;

/** Adaptive probabilities, by number. Each is the mean of a fast and a slow estimate that the bit is 0. */
export class Contexts {
  /** 16 bits. */
  readonly fast: Uint16Array;
  /** 32 bits. */
  readonly slow: Uint32Array;
  /** Bits seen, up to COUNT_LIMIT: young contexts adapt faster. */
  readonly count: Uint16Array;

  constructor(length: number) {
    this.fast = new Uint16Array(length).fill(0x8000);
    this.slow = new Uint32Array(length).fill(0x80000000);
    this.count = new Uint16Array(length);
  }

  /** Probability of a 0, in 1/32768. */
  zero(context: number): number {
    return (this.fast[context] + (this.slow[context] >>> 16)) >>> 2;
  }

  update(context: number, bit: number, fastShift: number, slowShift: number): void {
    const { fast, slow, count } = this;
    const seen = count[context];
    if (seen < COUNT_LIMIT) {
      const shift = 32 - Math.clz32((2 * seen + 4) / 3);
      fastShift = Math.min(fastShift, shift);
      slowShift = Math.min(slowShift, shift);
      count[context] = seen + 1;
    }
    if (bit === 0) {
      fast[context] += (FAST_HIGH - fast[context]) >>> fastShift;
      slow[context] += (SLOW_HIGH - slow[context]) >>> slowShift;
    } else {
      fast[context] -= (fast[context] - FAST_LOW) >>> fastShift;
      slow[context] -= (slow[context] - SLOW_LOW) >>> slowShift;
    }
  }
}

/** One direction of the coder. */
export interface BitCoder {
  readonly decoding: boolean;
  /** Codes a bit under a context whose estimates settle at the given shifts, and adapts it. */
  bit(contexts: Contexts, context: number, value: number, fastShift: number, slowShift: number): number;
  /** Codes the lowest `bits` (0 to 32) bits of `value` as they are; the result is unsigned. */
  raw(value: number, bits: number): number;
}

export class RangeEncoder implements BitCoder {
  readonly decoding = false;
  readonly #bytes: number[] = [];
  readonly #rawBytes: number[] = [];
  #low = 0;
  #range = 0xffffffff;
  #cache = 0;
  #pending = 0;
  #rawByte = 0;
  #rawFilled = 0;

  bit(contexts: Contexts, context: number, value: number, fastShift: number, slowShift: number): number {
    const bound = (this.#range >>> 15) * contexts.zero(context);
    if (value === 0) {
      this.#range = bound;
    } else {
      this.#low += bound;
      this.#range -= bound;
    }
    contexts.update(context, value, fastShift, slowShift);
    while (this.#range < 0x1000000) {
      this.#range *= 256;
      this.#shiftLow();
    }
    return value;
  }

  raw(value: number, bits: number): number {
    for (let i = 0; i < bits; i++) {
      this.#rawByte |= ((value >>> i) & 1) << this.#rawFilled++;
      if (this.#rawFilled === 8) this.#flushRaw();
    }
    return bits === 32 ? value >>> 0 : (value & (2 ** bits - 1)) >>> 0;
  }

  /** Ends the payload: the fewest bytes that decode right whatever follows them, then the raw bytes from the last to the first. */
  finish(): Uint8Array {
    let bytes = 1;
    let block = 0x1000000;
    if (Math.ceil(this.#low / block) * block + block > this.#low + this.#range) {
      bytes = 2;
      block = 0x10000;
    }
    this.#low = Math.ceil(this.#low / block) * block;
    for (let i = 0; i <= bytes; i++) this.#shiftLow();
    if (this.#rawFilled > 0) this.#flushRaw();
    // The first byte of the carry chain is always 0 and not part of the payload.
    return Uint8Array.from([...this.#bytes.slice(1), ...this.#rawBytes.reverse()]);
  }

  #flushRaw(): void {
    this.#rawBytes.push(this.#rawByte);
    this.#rawByte = 0;
    this.#rawFilled = 0;
  }

  /** Moves the top byte of `low` out; a carry goes through the bytes that wait. */
  #shiftLow(): void {
    if (this.#low < 0xff000000 || this.#low >= 0x100000000) {
      const carry = this.#low >= 0x100000000 ? 1 : 0;
      this.#bytes.push((this.#cache + carry) & 255);
      for (; this.#pending > 0; this.#pending--) this.#bytes.push((255 + carry) & 255);
      this.#cache = Math.floor(this.#low / 0x1000000) & 255;
    } else {
      this.#pending++;
    }
    this.#low = (this.#low & 0xffffff) * 256;
  }
}

export class RangeDecoder implements BitCoder {
  readonly decoding = true;
  readonly #payload: Uint8Array;
  #code = 0;
  #range = 0xffffffff;
  #input = 0;
  #rawPointer: number;
  #rawByte = 0;
  #rawFilled = 0;

  constructor(payload: Uint8Array) {
    this.#payload = payload;
    this.#rawPointer = payload.length;
    for (let i = 0; i < 4; i++) this.#code = this.#code * 256 + this.#nextByte();
    this.#code = Math.min(this.#code, 0xfffffffe); // Always below range, whatever the payload.
  }

  bit(contexts: Contexts, context: number, _value: number, fastShift: number, slowShift: number): number {
    const bound = (this.#range >>> 15) * contexts.zero(context);
    const bit = this.#code < bound ? 0 : 1;
    if (bit === 0) {
      this.#range = bound;
    } else {
      this.#code -= bound;
      this.#range -= bound;
    }
    contexts.update(context, bit, fastShift, slowShift);
    while (this.#range < 0x1000000) {
      this.#range *= 256;
      this.#code = this.#code * 256 + this.#nextByte();
    }
    return bit;
  }

  raw(_value: number, bits: number): number {
    let value = 0;
    for (let i = 0; i < bits; i++) {
      if (this.#rawFilled === 0) {
        this.#rawByte = this.#rawPointer > 0 ? this.#payload[--this.#rawPointer] : 0;
        this.#rawFilled = 8;
      }
      value |= (this.#rawByte & 1) << i;
      this.#rawByte >>= 1;
      this.#rawFilled--;
    }
    return value >>> 0;
  }

  #nextByte(): number {
    return this.#input < this.#payload.length ? this.#payload[this.#input++] : 0;
  }
}

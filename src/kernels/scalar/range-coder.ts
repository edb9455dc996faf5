/**
 * The adaptive binary range coder of docs/spec/range-coder.md. Encoder and decoder have one interface, so
 * that a model is written once: a decoder ignores the values it is given and returns those it read.
 * All registers stay below 2^49, so float64 holds them exactly.
 */

/** The range starts here and is renormalised below RENORMALISE. */
const FULL_RANGE = 2 ** 48;
const RENORMALISE = 2 ** 32;
const WORD = 2 ** 16;

/** Ends of the estimates, so that no probability comes closer than 24/32768 to 0 or 1. */
const FAST_LOW = 48;
const FAST_HIGH = 0xffff - FAST_LOW;
const SLOW_LOW = FAST_LOW * 65_536;
const SLOW_HIGH = 0xffffffff - SLOW_LOW;

/** Bits of a context that are counted. */
const COUNT_LIMIT = 1023;

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
  #range = FULL_RANGE;
  #rawByte = 0;
  #rawFilled = 0;

  bit(contexts: Contexts, context: number, value: number, fastShift: number, slowShift: number): number {
    const bound = Math.floor(this.#range / 32_768) * contexts.zero(context);
    if (value === 0) {
      this.#range = bound;
    } else {
      this.#setLow(this.#low + bound);
      this.#range -= bound;
    }
    contexts.update(context, value, fastShift, slowShift);
    if (this.#range < RENORMALISE) {
      this.#range *= WORD;
      this.#putByte();
      this.#putByte();
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
    let bytes = 0;
    let block = FULL_RANGE;
    while (Math.ceil(this.#low / block) * block + block > this.#low + this.#range) {
      bytes++;
      block /= 256;
    }
    this.#setLow(Math.ceil(this.#low / block) * block);
    for (let i = 0; i < bytes; i++) this.#putByte();
    if (this.#rawFilled > 0) this.#flushRaw();
    const payload = new Uint8Array(this.#bytes.length + this.#rawBytes.length);
    payload.set(this.#bytes);
    payload.set(this.#rawBytes.reverse(), this.#bytes.length);
    return payload;
  }

  /** Sets `low`; a carry goes into the bytes that are written. */
  #setLow(low: number): void {
    this.#low = low % FULL_RANGE;
    if (low < FULL_RANGE) return;
    let last = this.#bytes.length - 1;
    while (this.#bytes[last] === 255) this.#bytes[last--] = 0;
    this.#bytes[last]++;
  }

  /** Moves the top byte of `low` out. */
  #putByte(): void {
    const unit = FULL_RANGE / 256;
    const byte = Math.floor(this.#low / unit);
    this.#bytes.push(byte);
    this.#low = (this.#low - byte * unit) * 256;
  }

  #flushRaw(): void {
    this.#rawBytes.push(this.#rawByte);
    this.#rawByte = 0;
    this.#rawFilled = 0;
  }
}

export class RangeDecoder implements BitCoder {
  readonly decoding = true;
  readonly #payload: Uint8Array;
  #code = 0;
  #range = FULL_RANGE;
  #input = 0;
  #rawPointer: number;
  #rawByte = 0;
  #rawFilled = 0;

  constructor(payload: Uint8Array) {
    this.#payload = payload;
    this.#rawPointer = payload.length;
    for (let i = 0; i < 6; i++) this.#code = this.#code * 256 + this.#nextByte();
  }

  bit(contexts: Contexts, context: number, _value: number, fastShift: number, slowShift: number): number {
    const bound = Math.floor(this.#range / 32_768) * contexts.zero(context);
    const bit = this.#code < bound ? 0 : 1;
    if (bit === 0) {
      this.#range = bound;
    } else {
      this.#code -= bound;
      this.#range -= bound;
    }
    contexts.update(context, bit, fastShift, slowShift);
    if (this.#range < RENORMALISE) {
      this.#range *= WORD;
      this.#code = this.#code * WORD + this.#nextByte() * 256 + this.#nextByte();
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

/**
 * The adaptive binary range coder of docs/spec/codecs.md §5, shared by every entropy-coded codec.
 *
 * A model is written once for both directions: `codeBit<Decode>` and `codeBit<Encode>` take the same
 * arguments, and the type chooses the code at compile time. The decoder's state is one u64 (range above
 * code), passed through the model's loop as a local, so that it stays in a register: one shift
 * renormalises both halves. Everything that is touched once in a while is a global, loaded from and stored
 * to a 64-byte block around each call, so that several coders can take turns.
 */

/** Directions, as type arguments. */
export type Encode = u32;
export type Decode = i32;

/** Bytes of a context: fast estimate (u16), count (u16), slow estimate (u32). */
export const CONTEXT_BYTES: usize = 8;

// Ends of the estimates, so that no probability comes closer than 24/32768 to 0 or 1.
const FAST_LOW: u32 = 48;
const FAST_HIGH: u32 = 65_488;
const SLOW_LOW: u32 = 48 << 16;
const SLOW_HIGH: u32 = 0xffd00000;

/** Result of the last `codeBit`. */
export let bit: i32 = 0;

/** Result of the last `codeRaw`. */
export let raw: u32 = 0;

// Decoder: next byte of the arithmetic code, and the last one, behind which a zero byte lies.
let input: usize = 0;
let inputEnd: usize = 0;
// Raw bits, which run from the end of the payload downwards. Encoder: rawPointer is the lowest byte written.
let rawPointer: usize = 0;
let rawStart: usize = 0;
let rawWord: u64 = 0;
let rawFilled: i32 = 0;
// Encoder: the interval, the byte that waits for a carry, and the number of 0xff bytes behind it.
let low: u64 = 0;
let range: u32 = 0;
let cache: u32 = 0;
let pending: u32 = 0;
let out: usize = 0;

/** Prepares the block at `coder` for reading the payload [start, end); zero bytes lie around it. */
export function beginDecoding(coder: usize, start: usize, end: usize): void {
  input = start;
  inputEnd = end;
  let code: u32 = 0;
  for (let i = 0; i < 4; i++) code = (code << 8) | nextByte();
  if (code == 0xffffffff) code = 0xfffffffe; // Always below range, whatever the payload.
  rawPointer = end;
  rawStart = start;
  rawWord = 0;
  rawFilled = 0;
  saveDecoder(coder, 0xffffffff00000000 | <u64>code);
}

/** Prepares the block at `coder` for writing a payload of [start, end); the byte before it is overwritten. */
export function beginEncoding(coder: usize, start: usize, end: usize): void {
  out = start - 1; // The first byte of the carry chain is always 0 and not part of the payload.
  rawPointer = end;
  rawStart = start;
  rawWord = 0;
  rawFilled = 0;
  low = 0;
  range = 0xffffffff;
  cache = 0;
  pending = 0;
  saveEncoder(coder);
}

export function loadDecoder(coder: usize): u64 {
  input = load<u32>(coder, 8);
  inputEnd = load<u32>(coder, 12);
  rawWord = load<u64>(coder, 16);
  rawFilled = load<i32>(coder, 24);
  rawPointer = load<u32>(coder, 28);
  rawStart = load<u32>(coder, 32);
  return load<u64>(coder);
}

export function saveDecoder(coder: usize, state: u64): void {
  store<u64>(coder, state);
  store<u32>(coder, <u32>input, 8);
  store<u32>(coder, <u32>inputEnd, 12);
  store<u64>(coder, rawWord, 16);
  store<i32>(coder, rawFilled, 24);
  store<u32>(coder, <u32>rawPointer, 28);
  store<u32>(coder, <u32>rawStart, 32);
}

export function loadEncoder(coder: usize): void {
  low = load<u64>(coder);
  range = load<u32>(coder, 8);
  cache = load<u32>(coder, 12);
  rawWord = load<u64>(coder, 16);
  rawFilled = load<i32>(coder, 24);
  rawPointer = load<u32>(coder, 28);
  rawStart = load<u32>(coder, 32);
  pending = load<u32>(coder, 36);
  out = load<u32>(coder, 40);
}

export function saveEncoder(coder: usize): void {
  store<u64>(coder, low);
  store<u32>(coder, range, 8);
  store<u32>(coder, cache, 12);
  store<u64>(coder, rawWord, 16);
  store<i32>(coder, rawFilled, 24);
  store<u32>(coder, <u32>rawPointer, 28);
  store<u32>(coder, <u32>rawStart, 32);
  store<u32>(coder, pending, 36);
  store<u32>(coder, <u32>out, 40);
}

// @ts-ignore: decorator
@inline
function nextByte(): u32 {
  const byte: u32 = load<u8>(input);
  input += usize(input < inputEnd);
  return byte;
}

function put(byte: u32): void {
  if (out < rawPointer) store<u8>(out, <u8>byte);
  out++;
}

/** Moves the top byte of `low` out; a carry goes through the bytes that wait. */
function shiftLow(): void {
  if (<u32>low < 0xff000000 || low >> 32 != 0) {
    const carry = <u32>(low >> 32);
    put(cache + carry);
    for (; pending > 0; pending--) put(0xff + carry);
    cache = <u32>low >> 24;
  } else {
    pending++;
  }
  low = (low & 0x00ffffff) << 8;
}

/**
 * Ends the payload: the fewest bytes that decode right whatever follows them, and the last raw bits.
 * Returns the number of bytes before the raw bits, or -1 when the payload did not fit.
 */
export function finishEncoding(coder: usize): i32 {
  loadEncoder(coder);
  const start = rawStart;
  let bytes = 1;
  let mask: u64 = 0xffffff;
  if (((low + mask) & ~mask) + mask >= low + range) {
    bytes = 2;
    mask = 0xffff;
  }
  low = (low + mask) & ~mask;
  for (let i = 0; i <= bytes; i++) shiftLow();
  while (rawFilled > 0) {
    putRawByte(<u32>rawWord & 0xff);
    rawWord >>= 8;
    rawFilled -= 8;
  }
  saveEncoder(coder);
  return out <= rawPointer ? <i32>(out - start) : -1;
}

function putRawByte(byte: u32): void {
  rawPointer--;
  if (out <= rawPointer) store<u8>(rawPointer, <u8>byte);
}

/** Lowest address of the raw bits of a finished payload. */
export function rawBegin(coder: usize): usize {
  return load<u32>(coder, 28);
}

/**
 * Codes one bit under `context`, whose two estimates settle at shifts of `fast` and `slow`. Decoding ignores
 * `value`. The bit is then in `bit`.
 */
// @ts-ignore: decorator
@inline
export function codeBit<D>(state: u64, context: usize, value: i32, fast: u32, slow: u32): u64 {
  const a: u32 = load<u16>(context);
  const count: u32 = load<u16>(context, 2);
  const b: u32 = load<u32>(context, 4);
  const zero = (a + (b >> 16)) >> 2;
  if (count < 511) {
    const shift: u32 = 32 - clz<u32>((2 * count + 4) / 3);
    fast = min(fast, shift);
    slow = min(slow, shift);
    store<u16>(context, <u16>(count + 1), 2);
  }
  if (isSigned<D>()) {
    const bound = (<u32>(state >> 32) >> 15) * zero;
    if (<u32>state < bound) {
      state = (<u64>bound << 32) | <u64>(<u32>state);
      bit = 0;
      store<u16>(context, <u16>(a + ((FAST_HIGH - a) >> fast)));
      store<u32>(context, b + ((SLOW_HIGH - b) >> slow), 4);
    } else {
      state -= <u64>bound * 0x100000001;
      bit = 1;
      store<u16>(context, <u16>(a - ((a - FAST_LOW) >> fast)));
      store<u32>(context, b - ((b - SLOW_LOW) >> slow), 4);
    }
    while (state < 0x100000000000000) state = (state << 8) | <u64>nextByte();
    return state;
  }
  const bound = (range >> 15) * zero;
  if (value == 0) {
    range = bound;
    store<u16>(context, <u16>(a + ((FAST_HIGH - a) >> fast)));
    store<u32>(context, b + ((SLOW_HIGH - b) >> slow), 4);
  } else {
    low += bound;
    range -= bound;
    store<u16>(context, <u16>(a - ((a - FAST_LOW) >> fast)));
    store<u32>(context, b - ((b - SLOW_LOW) >> slow), 4);
  }
  bit = value;
  while (range < 0x1000000) {
    range <<= 8;
    shiftLow();
  }
  return state;
}

/** Codes `bits` (0 to 32) bits as they are, beside the arithmetic code. They are then in `raw`. */
// @ts-ignore: decorator
@inline
export function codeRaw<D>(value: u32, bits: i32): void {
  if (isSigned<D>()) {
    if (rawFilled < bits) {
      rawWord |= <u64>bswap<u32>(load<u32>(rawPointer - 4)) << rawFilled;
      rawFilled += 32;
      rawPointer = max(rawPointer - 4, rawStart);
    }
    raw = <u32>rawWord & <u32>((<u64>1 << bits) - 1);
    rawWord >>= bits;
    rawFilled -= bits;
  } else {
    raw = value;
    rawWord |= <u64>value << rawFilled;
    rawFilled += bits;
    while (rawFilled >= 8) {
      putRawByte(<u32>rawWord & 0xff);
      rawWord >>= 8;
      rawFilled -= 8;
    }
  }
}

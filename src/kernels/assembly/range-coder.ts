/**
 * The adaptive binary range coder of docs/spec/range-coder.md, shared by every entropy-coded codec: 48 bits of
 * range, renormalised by 16, so that one rare branch keeps it going.
 *
 * A model is written once for both directions: `codeBit<Decode>` and `codeBit<Encode>` take the same
 * arguments, and the type chooses the code at compile time. The registers are globals, loaded from and
 * stored to a 64-byte block around each call of a kernel, so that several coders can take turns.
 */

/** Directions, as type arguments. */
export type Encode = u32;
export type Decode = i32;

/**
 * Bytes of a context: the fast estimate (16 bits), with the bits that the context has yet to count above it (16
 * bits); the slow estimate (32 bits). So a context that has settled is two plain words.
 */
export const CONTEXT_BYTES: usize = 8;

// Ends of the estimates, so that no probability comes closer than 24/32768 to 0 or 1.
export const FAST_LOW: u32 = 48;
export const FAST_HIGH: u32 = 0xffff - FAST_LOW;
export const SLOW_LOW: u32 = FAST_LOW << 16;
export const SLOW_HIGH: u32 = 0xffffffff - SLOW_LOW;

/** Bits after which a context has settled: both its shifts are what they stay, and it counts no more. */
// @ts-ignore: decorator
@inline
export function settledAfter(slow: u32): u32 {
  return (3 << (slow - 2)) - 2;
}

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
export let range: u64 = 0;
// Decoder.
export let code: u64 = 0;
// Encoder.
let low: u64 = 0;
let out: usize = 0;

/** Prepares the block at `coder` for reading the payload [start, end); zero bytes lie around it. */
export function beginDecoding(coder: usize, start: usize, end: usize): void {
  input = start;
  inputEnd = end;
  code = (nextWord() << 32) | (nextWord() << 16) | nextWord();
  range = 0x1000000000000;
  rawPointer = end;
  rawStart = start;
  rawWord = 0;
  rawFilled = 0;
  saveDecoder(coder);
}

/** Prepares the block at `coder` for writing a payload of [start, end). */
export function beginEncoding(coder: usize, start: usize, end: usize): void {
  out = start;
  rawPointer = end;
  rawStart = start;
  rawWord = 0;
  rawFilled = 0;
  low = 0;
  range = 0x1000000000000;
  saveEncoder(coder);
}

export function loadDecoder(coder: usize): void {
  code = load<u64>(coder);
  range = load<u64>(coder, 8);
  input = load<u32>(coder, 16);
  inputEnd = load<u32>(coder, 20);
  loadRaw(coder);
}

export function saveDecoder(coder: usize): void {
  store<u64>(coder, code);
  store<u64>(coder, range, 8);
  store<u32>(coder, <u32>input, 16);
  store<u32>(coder, <u32>inputEnd, 20);
  saveRaw(coder);
}

export function loadEncoder(coder: usize): void {
  low = load<u64>(coder);
  range = load<u64>(coder, 8);
  out = load<u32>(coder, 16);
  loadRaw(coder);
}

export function saveEncoder(coder: usize): void {
  store<u64>(coder, low);
  store<u64>(coder, range, 8);
  store<u32>(coder, <u32>out, 16);
  saveRaw(coder);
}

function loadRaw(coder: usize): void {
  rawWord = load<u64>(coder, 24);
  rawFilled = load<i32>(coder, 32);
  rawPointer = load<u32>(coder, 36);
  rawStart = load<u32>(coder, 40);
}

function saveRaw(coder: usize): void {
  store<u64>(coder, rawWord, 24);
  store<i32>(coder, rawFilled, 32);
  store<u32>(coder, <u32>rawPointer, 36);
  store<u32>(coder, <u32>rawStart, 40);
}

/** Adds a carry to the words that are written: a run of 0xffff becomes 0. */
function carry(): void {
  let pointer = out;
  do {
    pointer -= 2;
    if (pointer < rawStart || pointer + 2 > rawPointer) return;
    store<u16>(pointer, bswap<u16>(bswap<u16>(load<u16>(pointer)) + 1));
  } while (load<u16>(pointer) == 0);
}

function putWord(): void {
  if (out + 2 <= rawPointer) store<u16>(out, bswap<u16>(<u16>(low >> 32)));
  out += 2;
  low = (low << 16) & 0xffffffffffff;
}

/**
 * Ends the payload: the fewest bytes that decode right whatever follows them, and the last raw bits.
 * Returns the number of bytes before the raw bits, or -1 when the payload did not fit.
 */
export function finishEncoding(coder: usize): i32 {
  loadEncoder(coder);
  const start = rawStart;
  let bytes = 0;
  let mask: u64 = 0xffffffffffff;
  while (((low + mask) & ~mask) + mask >= low + range) {
    bytes++;
    mask >>= 8;
  }
  low = (low + mask) & ~mask;
  if (low >> 48 != 0) {
    carry();
    low &= 0xffffffffffff;
  }
  for (let i = 0; i < bytes; i++) {
    if (out < rawPointer) store<u8>(out, <u8>(low >> 40));
    out++;
    low <<= 8;
  }
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

/**
 * Codes one bit under `context`, whose two estimates settle at shifts of `fast` and `slow`. Decoding ignores
 * `value`. The bit is then in `bit`.
 */
// @ts-ignore: decorator
@inline
export function codeBit<D>(context: usize, value: i32, fast: u32, slow: u32): bool {
  const a = load<u32>(context);
  const b = load<u32>(context, 4);
  const v = decide<D>(portion(range, a & 0xffff, b), value);
  learn(context, a, b, v, fast, slow);
  return v;
}

/** Codes one bit whose 0 takes `bound` of the range. */
// @ts-ignore: decorator
@inline
export function decide<D>(bound: u64, value: i32): bool {
  let v: bool;
  if (isSigned<D>()) {
    v = code >= bound;
    if (v) {
      code -= bound;
      range -= bound;
    } else {
      range = bound;
    }
    if (isShort(range)) {
      range <<= 16;
      code = (code << 16) | nextWord();
    }
  } else {
    v = value != 0;
    if (v) {
      low += bound;
      range -= bound;
      if (low >> 48 != 0) {
        carry();
        low &= 0xffffffffffff;
      }
    } else {
      range = bound;
    }
    if (isShort(range)) {
      range <<= 16;
      putWord();
    }
  }
  return v;
}

/** What a 0 takes of the range, by the two estimates. */
// @ts-ignore: decorator
@inline
export function portion(range: u64, a: u32, b: u32): u64 {
  return (range >> 15) * <u64>((a + (b >> 16)) >> 2);
}

/** Whether the range is to be renormalised. */
// @ts-ignore: decorator
@inline
export function isShort(range: u64): bool {
  return range < 0x100000000;
}

/** Whether a context whose first word is `a` has not settled: it counts its bits, and adapts faster. */
// @ts-ignore: decorator
@inline
export function isYoung(a: u32): bool {
  return a > 0xffff;
}

/** Moves the estimates of a context, given its words, towards the bit that came. */
// @ts-ignore: decorator
@inline
export function learn(context: usize, a: u32, b: u32, v: bool, fast: u32, slow: u32): void {
  if (isYoung(a)) learnYoung(context, a, b, v, fast, slow);
  else learnSettled(context, a, b, v, fast, slow);
}

// @ts-ignore: decorator
@inline
export function learnSettled(context: usize, a: u32, b: u32, v: bool, fast: u32, slow: u32): void {
  // The branch is that of the decision: the processor has guessed it already.
  if (v) {
    store<u32>(context, fastMoved(a, true, fast));
    store<u32>(context, slowMoved(b, true, slow), 4);
  } else {
    store<u32>(context, fastMoved(a, false, fast));
    store<u32>(context, slowMoved(b, false, slow), 4);
  }
}

// @ts-ignore: decorator
@inline
function fastMoved(a: u32, v: bool, shift: u32): u32 {
  return v ? a - ((a - FAST_LOW) >> shift) : a + ((FAST_HIGH - a) >> shift);
}

// @ts-ignore: decorator
@inline
function slowMoved(b: u32, v: bool, shift: u32): u32 {
  return v ? b - ((b - SLOW_LOW) >> shift) : b + ((SLOW_HIGH - b) >> shift);
}

// Calls would cost the functions around them registers.
// @ts-ignore: decorator
@inline
function learnYoung(context: usize, a: u32, b: u32, v: bool, fast: u32, slow: u32): void {
  const left = a >> 16;
  const shift: u32 = 32 - <u32>clz<u32>((2 * (settledAfter(slow) - left) + 4) / 3);
  store<u32>(context, fastMoved(a & 0xffff, v, min(fast, shift)) | ((left - 1) << 16));
  store<u32>(context, slowMoved(b, v, min(slow, shift)), 4);
}

// The next two bytes, most significant first; zeros lie behind the payload.
// @ts-ignore: decorator
@inline
export function nextWord(): u64 {
  const word = <u64>bswap<u16>(load<u16>(input));
  input = min(input + 2, inputEnd);
  return word;
}

/**
 * `decide` for a bit that is near even, without a branch on it in the decoder: a wrong guess of the processor costs more
 * than the masks.
 */
// @ts-ignore: decorator
@inline
export function decideEven<D>(bound: u64, value: i32): bool {
  if (!isSigned<D>()) return decide<D>(bound, value);
  const v = code >= bound;
  const mask = -<u64>v;
  code -= bound & mask;
  range = bound + ((range - 2 * bound) & mask);
  if (isShort(range)) {
    range <<= 16;
    code = (code << 16) | nextWord();
  }
  return v;
}

/** Codes `bits` (0 to 32) bits as they are, beside the arithmetic code. They are then in `raw`. */
// @ts-ignore: decorator
@inline
export function codeRaw<D>(value: u32, bits: i32): void {
  if (isSigned<D>()) {
    if (rawFilled < bits) refillRaw();
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

/** Decodes one bit as it is. */
// @ts-ignore: decorator
@inline
export function decodeRawBit(): i32 {
  if (rawFilled == 0) refillRaw();
  const bit = <i32>rawWord & 1;
  rawWord >>= 1;
  rawFilled--;
  return bit;
}

// Zeros lie before the payload.
function refillRaw(): void {
  rawWord |= <u64>bswap<u32>(load<u32>(rawPointer - 4)) << rawFilled;
  rawFilled += 32;
  rawPointer = max(rawPointer - 4, rawStart);
}

/** Decoding goes on with these registers, which a caller had in locals. */
// @ts-ignore: decorator
@inline
export function setRegisters(newCode: u64, newRange: u64): void {
  code = newCode;
  range = newRange;
}

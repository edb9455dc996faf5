/**
 * The entries of a row decoded (docs/spec/matrix-coder.md §4), the inverse of `encodeEntries` of matrix-model.ts. Unlike
 * the rest of the model this is written for one direction alone: an encoder knows its bits, a decoder waits for each,
 * so that its time is the instructions between two decisions, and the wrong guesses of the processor. Hence:
 *
 * - the registers of the arithmetic code are locals of one function, since an engine keeps globals in memory;
 * - both ways of a decision are written out, each with all that follows from it, so that it is one branch;
 * - contexts that have not settled, which are few, are left to `codeBit`;
 * - rows are cleared beforehand, so that a zero is nothing but a step of a loop, which runs as far as it can.
 */
import {
  BLOCK, CONTEXTS, FAST, FIRST, LEVELS, NEXT_4, NEXT_8, SECOND_4, SECOND_8, SLOW, TRELLIS, UNARY, codeEscape, context,
  isBusy, levelShift, maximum, moreContexts,
} from './matrix-model';
import {
  CONTEXT_BYTES, Decode, code as savedCode, codeBit, codeRaw, decodeRawBit, isShort, isYoung, learn, learnSettled,
  nextWord, portion, range as savedRange, raw, setRegisters,
} from './range-coder';

/** The contexts of the zero flags, by level, in state `place` of the trellis. */
// @ts-ignore: decorator
@inline
function zeroContexts(second: u32, place: u32): usize {
  return CONTEXTS + <usize>((second >> place) & 1) * (<usize>LEVELS * CONTEXT_BYTES);
}

/**
 * A level that is none: it stands behind the last entry of a run and ends the loop over its zeros, as its contexts, of
 * either quantiser, belong to no decision (decisions 15 of a magnitude, MORE + 16i + 15) and stay young.
 */
const STOP: u8 = 255;

/** A bit under any context, with the registers where `setRegisters` put them. */
function decodeBit(context: usize): bool {
  return codeBit<Decode>(context, 0, FAST, SLOW);
}

/**
 * The unary part of a magnitude from decision `count` on, and the escape behind it. The context behind the last
 * decision, which belongs to none, is young for ever, so that who asks for that gets here in time.
 */
function decodeCount(context: usize, count: u32): u32 {
  for (; count < UNARY; count++) {
    if (!decodeBit(context)) return count;
    context += CONTEXT_BYTES;
  }
  return codeEscape<Decode>(0);
}

// @ts-ignore: decorator
@inline
function decodeEntries(trellis: bool, levels: usize, codes: usize, columns: i32, next: u64, second: u32): void {
  memory.fill(codes, 0, <usize>columns << 1);
  // The address of an entry's code, less twice that of its level.
  const target = codes - (levels << 1);
  const stop = levels + columns;
  let code = savedCode;
  let range = savedRange;
  let place: u32 = trellis ? load<u32>(0, TRELLIS) : 0;
  let zeros: usize = trellis ? zeroContexts(second, place) : CONTEXTS;
  while (levels < stop) {
    let end = stop;
    // Whether the entry at hand is known not to be zero.
    let found = false;
    if (!trellis && levels + 16 <= stop) {
      end = levels + 16;
      if (isBusy(levels)) {
        while (end + 16 <= stop && isBusy(end)) end += 16;
        if (end + 16 > stop) end = stop;
      } else {
        let at = context(BLOCK + maximum(v128.load(levels)));
        let a = load<u32>(at);
        let b = load<u32>(at, 4);
        let bound = portion(range, a & 0xffff, b);
        if (code < bound) {
          range = bound;
          learn(at, a, b, false, FAST, SLOW);
          if (isShort(range)) {
            range <<= 16;
            code = (code << 16) | nextWord();
          }
          levels = end;
          continue;
        }
        code -= bound;
        range -= bound;
        learn(at, a, b, true, FAST, SLOW);
        if (isShort(range)) {
          range <<= 16;
          code = (code << 16) | nextWord();
        }
        found = true;
        at = context(FIRST);
        for (; levels < end - 1; levels++) {
          a = load<u32>(at);
          b = load<u32>(at, 4);
          bound = portion(range, a & 0xffff, b);
          if (code >= bound) {
            code -= bound;
            range -= bound;
            learn(at, a, b, true, FAST, SLOW);
            if (isShort(range)) {
              range <<= 16;
              code = (code << 16) | nextWord();
            }
            break;
          }
          range = bound;
          learn(at, a, b, false, FAST, SLOW);
          if (isShort(range)) {
            range <<= 16;
            code = (code << 16) | nextWord();
          }
          at += CONTEXT_BYTES;
        }
      }
    }
    const kept = load<u8>(end);
    store<u8>(end, STOP);
    while (true) {
      if (!found) {
        // The context that ended the loop undecided, if any. There is no call inside: it would cost registers.
        let at: usize = 0;
        while (true) {
          at = zeros + <usize>load<u8>(levels) * CONTEXT_BYTES;
          const a = load<u32>(at);
          if (isYoung(a)) break;
          const b = load<u32>(at, 4);
          const bound = portion(range, a, b);
          if (code >= bound) {
            code -= bound;
            range -= bound;
            learnSettled(at, a, b, true, FAST, SLOW);
            if (isShort(range)) {
              range <<= 16;
              code = (code << 16) | nextWord();
            }
            at = 0;
            break;
          }
          range = bound;
          learnSettled(at, a, b, false, FAST, SLOW);
          if (isShort(range)) {
            range <<= 16;
            code = (code << 16) | nextWord();
          }
          if (trellis) {
            place = <u32>(next >> (place << 3)) & 15;
            zeros = zeroContexts(second, place);
          }
          levels++;
        }
        if (levels == end) break;
        if (at != 0) {
          setRegisters(code, range);
          const v = decodeBit(at);
          code = savedCode;
          range = savedRange;
          if (!v) {
            if (trellis) {
              place = <u32>(next >> (place << 3)) & 15;
              zeros = zeroContexts(second, place);
            }
            levels++;
            continue;
          }
        }
      }
      found = false;
      const level: i32 = load<u8>(levels);
      const quantizer: u32 = trellis ? (second >> place) & 1 : 0;
      let at = moreContexts(quantizer, level);
      let count: u32 = 0;
      while (true) {
        const a = load<u32>(at);
        if (isYoung(a)) {
          setRegisters(code, range);
          count = decodeCount(at, count);
          code = savedCode;
          range = savedRange;
          break;
        }
        const b = load<u32>(at, 4);
        const bound = portion(range, a, b);
        if (code < bound) {
          range = bound;
          learnSettled(at, a, b, false, FAST, SLOW);
          if (isShort(range)) {
            range <<= 16;
            code = (code << 16) | nextWord();
          }
          break;
        }
        code -= bound;
        range -= bound;
        learnSettled(at, a, b, true, FAST, SLOW);
        if (isShort(range)) {
          range <<= 16;
          code = (code << 16) | nextWord();
        }
        at += CONTEXT_BYTES;
        count++;
      }
      const shift = levelShift(level);
      let size = count + 1;
      let negative: i32;
      if (shift == 0 && count < UNARY) {
        negative = decodeRawBit();
      } else {
        codeRaw<Decode>(0, shift + 1);
        negative = raw & 1;
        size = min<u32>(((count << shift) | (raw >> 1)) + 1, 16383);
      }
      const magnitude = <i32>(2 * size - quantizer);
      store<i16>(target + (levels << 1), <i16>((magnitude ^ -negative) + negative));
      if (trellis) {
        place = <u32>(next >> (((place << 1) | (size & 1)) << 2)) & 15;
        zeros = zeroContexts(second, place);
      }
      levels++;
    }
    store<u8>(end, kept);
  }
  setRegisters(code, range);
  if (trellis) store<u32>(0, place, TRELLIS);
}

// A function each, as a larger one has too few registers; exported, as they would be drawn into their caller else.

/** Decodes `columns` half steps (i16) with one state. */
export function decodeEntries1(levels: usize, codes: usize, columns: i32): void {
  decodeEntries(false, levels, codes, columns, 0, 0);
}

/** The same with 4 states. */
export function decodeEntries4(levels: usize, codes: usize, columns: i32): void {
  decodeEntries(true, levels, codes, columns, NEXT_4, SECOND_4);
}

/** The same with 8 states. */
export function decodeEntries8(levels: usize, codes: usize, columns: i32): void {
  decodeEntries(true, levels, codes, columns, NEXT_8, SECOND_8);
}

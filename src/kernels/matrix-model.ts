/**
 * Numbers of the matrix coder (docs/spec/matrix-coder.md) that both implementations share: the contexts
 * and their first states, and the encoder's table of costs.
 */

/** Levels of expected magnitude, half an octave apart; level l stands for 2^(l/2 − 9) half steps. */
export const LEVELS = 48;

/** Levels below this one code blocks of 16 entries with one decision when they are all zero. */
export const BLOCK_LEVELS = 12;

/** Unary decisions of a magnitude before it escapes. */
export const UNARY = 14;

/** First numbers of the groups of contexts. */
export const CONTEXT = {
  zero: 0,
  more: 96,
  block: 928,
  first: 940,
  escape: 956,
  rowZero: 972,
  rowMoves: 973,
  rowDown: 974,
  rowFurther: 975,
} as const;

/** Contexts in all. */
export const CONTEXT_COUNT = 995;

/** Columns that the encoder quantises and codes at a time. */
export const SEGMENT = 4096;

/** Average magnitude of every column at the start, in 1/65536 of the row's. */
export const FIRST_AVERAGE = 65_536;

/** Largest |k|; its reconstruction of 2·k half steps fits in 16 bits. */
export const MAX_LEVEL_NUMBER = 16_383;

/** Largest number of columns. */
export const MAX_COLUMNS = 1 << 24;

/** Bits that a fresh context counts as seen: how much its first probability is worth. */
export const FIRST_COUNT = 8;

/** First probabilities that an entry is zero by level, in 1/1024, for Q0 and Q1: averages over trained runs. */
const ZERO_START = [
  [
    1020, 1020, 1019, 1018, 1016, 1013, 1010, 1005, 998, 991, 980, 970, 952, 925, 892, 819, 750, 634, 514,
    400, 287, 213, 159, 114, 85, 55, 41, 29, 20, 13, 10, 6, 5, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
  ],
  [
    1020, 1020, 1019, 1018, 1016, 1012, 1008, 1005, 1002, 996, 986, 965, 915, 850, 730, 590, 440, 320, 225,
    175, 142, 107, 71, 45, 28, 15, 10, 7, 6, 5, 4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
  ],
];

/**
 * First probabilities that a magnitude ends, in 1/256, by row (levels up to 15, then 16 to 25) and unary
 * decision; the sixth holds from there on.
 */
const MORE_START = [
  [
    [238, 184, 160, 120, 95, 90],
    [246, 203, 150, 119, 95, 100],
    [245, 230, 163, 122, 108, 105],
    [232, 236, 215, 167, 123, 118],
    [202, 217, 217, 198, 147, 100],
    [164, 187, 195, 195, 190, 165],
    [123, 144, 157, 166, 166, 162],
    [91, 105, 116, 127, 134, 143],
    [65, 73, 82, 92, 99, 106],
    [80, 97, 111, 123, 131, 140],
    [57, 67, 76, 84, 92, 102],
  ],
  [
    [238, 184, 160, 120, 95, 90],
    [246, 222, 165, 140, 100, 100],
    [233, 236, 195, 150, 115, 105],
    [206, 231, 224, 165, 135, 110],
    [170, 214, 222, 204, 175, 141],
    [124, 176, 198, 201, 188, 157],
    [90, 132, 153, 165, 165, 160],
    [70, 97, 110, 123, 133, 137],
    [48, 66, 80, 87, 96, 103],
    [77, 96, 111, 121, 132, 141],
    [56, 66, 77, 84, 92, 102],
  ],
];

/** First probabilities that a block is all zeros, in 1/256, by its level. */
const BLOCK_START = [252, 252, 251, 251, 250, 249, 247, 245, 242, 238, 234, 228];

/** First probabilities of the escape's length and of the row scale's size, in 1/256; the last holds further on. */
const ESCAPE_START = [110, 170, 210, 230];
const FURTHER_START = [178, 128, 110];

/** First probabilities of a 0, in 1/65536, by context. */
export function firstProbabilities(): Uint16Array {
  const out = new Uint16Array(CONTEXT_COUNT).fill(32_768);
  for (let quantizer = 0; quantizer < 2; quantizer++) {
    for (let level = 0; level < LEVELS; level++) {
      out[CONTEXT.zero + quantizer * LEVELS + level] = ZERO_START[quantizer][level] * 64;
    }
    for (let row = 0; row < 26; row++) {
      const start = MORE_START[quantizer][Math.max(0, row - 15)];
      for (let u = 0; u < UNARY; u++) {
        out[CONTEXT.more + (quantizer * 26 + row) * 16 + u] = start[Math.min(u, 5)] * 256;
      }
    }
  }
  for (const [top, start] of BLOCK_START.entries()) out[CONTEXT.block + top] = start * 256;
  // Were one entry in 16 not zero, at any place alike.
  for (let i = 0; i < 15; i++) out[CONTEXT.first + i] = Math.floor((65_536 * (15 - i)) / (16 - i));
  for (let t = 0; t < 14; t++) out[CONTEXT.escape + t] = ESCAPE_START[Math.min(t, 3)] * 256;
  out[CONTEXT.rowZero] = 247 * 256;
  out[CONTEXT.rowMoves] = 210 * 256;
  for (let i = 0; i < 20; i++) out[CONTEXT.rowFurther + i] = FURTHER_START[Math.min(i, 2)] * 256;
  return out;
}

let costs: Float32Array | undefined;

/**
 * Bits of a decision of probability (i + ½) / 4096, in float32; only + and × in float64, so equal everywhere. Made when an
 * encoder first asks.
 */
export function decisionCosts(): Float32Array {
  costs ??= Float32Array.from({ length: 4096 }, (_, i) => 12 - binaryLogarithm(i + 0.5));
  return costs;
}

/** log2 of 0.5 ≤ x < 2^32 to 20 binary digits, by repeated squaring. */
export function binaryLogarithm(x: number): number {
  let exponent = 0;
  for (; x >= 2; x /= 2) exponent++;
  for (; x < 1; x *= 2) exponent--;
  let result = exponent;
  for (let digit = 0.5; digit > 2 ** -21; digit /= 2) {
    x *= x;
    if (x >= 2) {
      x /= 2;
      result += digit;
    }
  }
  return result;
}

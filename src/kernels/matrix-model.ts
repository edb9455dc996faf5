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
  escape: 1324,
  rowZero: 1340,
  rowMoves: 1341,
  rowDown: 1342,
  rowFurther: 1343,
} as const;

/** Contexts in all. */
export const CONTEXT_COUNT = 1363;

/** Columns that the encoder quantises and codes at a time. */
export const SEGMENT = 4096;

/** Average magnitude of every column at the start, in 1/65536 of the row's. */
export const FIRST_AVERAGE = 65_536;

/** Largest |k|; its reconstruction of 2·k half steps fits in 16 bits. */
export const MAX_LEVEL_NUMBER = 16_383;

/** Largest number of columns. */
export const MAX_COLUMNS = 1 << 24;

/** First probabilities of a 0, in 1/65536, by context. */
export function firstProbabilities(): Uint16Array {
  const out = new Uint16Array(CONTEXT_COUNT).fill(32_768);
  return out;
}

/** Bits of a decision of probability (i + ½) / 4096, in float32; only + and × in float64, so equal everywhere. */
export function decisionCosts(): Float32Array {
  return Float32Array.from({ length: 4096 }, (_, i) => 12 - binaryLogarithm(i + 0.5));
}

/** log2 of 0.5 ≤ x < 2^32 to 20 binary digits, by repeated squaring. */
function binaryLogarithm(x: number): number {
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

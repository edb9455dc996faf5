/** Rows of codec "interval" (docs/spec/interval.md): skipped runs, scales, and the running spread of columns. */
import {
  BLOCK, COLUMN_OFFSET, CONTEXT_OFFSET, CONTEXTS, eighths, hasMeans, isFloat, loadElement, magnitudeMask, openJob,
  PLAN_OFFSET, powerOfTwo, ratioOf, RATIOS, ROW, SAME, SCALE, skip, storeElement, STRIP, STRIP_OFFSET, toValue, ulpOf,
  unit, width, wrapped,
} from './interval-contexts';
import { decodeStretch } from './interval-decoder';
import { freshContext, layPaces } from './interval-learning';
import { adaptMean, adaptStretch, multipleOfMean, planStretch, STRETCH, sumOfStretch } from './interval-plan';
import {
  code, codeFloat, codeInteger, codeLowWord, codeWideInteger, decoded, encodeStretch, lowFlag, setLowFlag,
} from './interval-values';
import { codeRaw, Decode, Encode, loadDecoder, loadEncoder, raw, saveDecoder, saveEncoder } from './range-coder';

/** Contexts of the position in a block of 16, where nothing differed so far; 0 where something did. */
// @ts-ignore: decorator
@inline
function positionContext(seen: bool, position: i32): usize {
  return seen ? 0 : position < 6 ? 1 : position < 10 ? 2 : position < 13 ? 3 : position < 14 ? 4 : 5;
}

// @ts-ignore: decorator
@inline
function sameBytes(x: usize, y: usize, bytes: usize): bool {
  const end = x + bytes;
  while (x + 8 <= end) {
    if (load<u64>(x) != load<u64>(y)) return false;
    x += 8;
    y += 8;
  }
  while (x < end) {
    if (load<u8>(x) != load<u8>(y)) return false;
    x++;
    y++;
  }
  return true;
}

// The batch at hand: addresses of its elements, and the distance of patterns of the prediction.
let values: usize = 0;
let predicted: usize = 0;
let wide: usize = 0;
let narrowed: usize = 0;
let wideStride: usize = 4;
let means: usize = 0;

// The rows so far.
let rowIndex: i32 = 0;
let scale: i32 = 0;
let lastRow: i32 = 1;

/** value − prediction of element i in float64, whatever it is for values that are not finite. */
// @ts-ignore: decorator
@inline
function differenceOf(i: usize): f64 {
  const offset = i * <usize>width;
  if (!isFloat) {
    if (width == 8) return <f64>(<i64>(load<u64>(values + offset) - load<u64>(predicted + offset)));
    return <f64>wrapped(loadElement(values + offset) - loadElement(predicted + offset));
  }
  const pattern = load<u32>(wide + i * wideStride);
  const basis: f64 = width == 8 ? reinterpret<f64>(<u64>pattern << 32) : <f64>reinterpret<f32>(pattern);
  return toValue(loadElement(values + offset)) - basis;
}

/** Codes whether elements [i, i + count) differ from their prediction; a decoder copies them if not. */
// @ts-ignore: decorator
@inline
function codeDiffers<D>(context: usize, i: usize, count: i32): i32 {
  const offset = i * <usize>width;
  const bytes = <usize>count * <usize>width;
  const differs = isSigned<D>() ? 0 : i32(!sameBytes(values + offset, predicted + offset, bytes));
  const bit = code<D>(context, differs);
  if (isSigned<D>() && bit == 0) memory.copy(values + offset, predicted + offset, bytes);
  return bit;
}

/** Whether rows are coded by stretches of a plan: floats of up to 32 bits, unless most equal their prediction. */
// @ts-ignore: decorator
@inline
function isPlanned(): bool {
  return isFloat && (width == 2 || width == 4) && skip < 2;
}

/** The encoder's choice: the scale at which the column means would have been right on average. */
function wantedScale(start: usize, columns: i32): i32 {
  let sum: f64 = 0;
  if (isPlanned()) {
    sum = sumOfStretch(values + start * <usize>width, wide + (start << 2), means, columns, 0);
  } else {
    const perUnit = powerOfTwo(-unit);
    for (let j: usize = 0; j < <usize>columns; j++) {
      sum += multipleOfMean(means + (j << 2), differenceOf(start + j), perUnit);
    }
  }
  return max(-24, min(511, (eighths(sum / <f64>columns + 0.001) + 1) >> 1));
}

/** The scale of the row at `start`, in quarters of an octave over the unit, as a step from the last one. */
function codeScale<D>(start: usize, columns: i32): void {
  let difference = 0;
  if (!isSigned<D>()) {
    difference = wantedScale(start, columns) - scale;
    const change = <f64>difference * 0.1732;
    if (rowIndex > 0 && <f64>columns * (skip == 2 ? 0.035 : 0.7) * change * change <= 5) difference = 0;
  }
  if (code<D>(SCALE, i32(difference != 0)) == 0) return;
  const negative = code<D>(SCALE + 1, i32(difference < 0));
  const target = abs(difference) - 1;
  let steps = 0;
  while (steps < 16 && code<D>(SCALE + 2 + steps, i32(steps < target)) == 1) steps++;
  if (steps == 16) {
    codeRaw<D>(target - 16, 10);
    steps += raw;
  }
  scale = max(-24, min(511, scale + (negative ? -steps - 1 : steps + 1)));
}

/** One element. spread: eighths of an octave over the unit; differs: it is known not to be as predicted. */
function codeElement<D>(i: usize, spread: i32, differs: bool): void {
  const value = values + i * <usize>width;
  const expected = loadElement(predicted + i * <usize>width);
  if (isFloat) {
    const patternOffset = i * wideStride;
    const pattern: u32 = isSigned<D>() ? 0 : loadElement(value);
    // A float64 may differ in its lower half alone.
    const known = differs && width != 8;
    codeFloat<D>(spread, expected, load<u32>(wide + patternOffset), load<u32>(narrowed + patternOffset), pattern, known);
    const same = decoded == expected;
    if (isSigned<D>()) storeElement(value, decoded);
    if (width == 8) codeLowWord<D>(load<u32>(predicted + i * 8), value, same);
  } else if (width == 8) {
    codeWideInteger<D>(spread, load<u64>(predicted + i * 8), value, differs);
  } else {
    codeInteger<D>(spread, isSigned<D>() ? 0 : wrapped(loadElement(value) - expected), differs);
    if (isSigned<D>()) storeElement(value, expected + decoded);
  }
}

/** Least magnitude of 16 patterns of 16 bits. */
// @ts-ignore: decorator
@inline
function leastOf16(pointer: usize): u32 {
  const mask = i16x8.splat(<i16>magnitudeMask);
  let least = i16x8.min_u(v128.and(v128.load(pointer), mask), v128.and(v128.load(pointer, 16), mask));
  least = i16x8.min_u(least, v128.shuffle<u16>(least, least, 4, 5, 6, 7, 0, 1, 2, 3));
  least = i16x8.min_u(least, v128.shuffle<u16>(least, least, 2, 3, 0, 1, 6, 7, 4, 5));
  least = i16x8.min_u(least, v128.shuffle<u16>(least, least, 1, 0, 3, 2, 5, 4, 7, 6));
  return i16x8.extract_lane_u(least, 0);
}

/** Context of a block: of the element with the finest prediction, at the row's scale. */
// @ts-ignore: decorator
@inline
function blockRatio(spread: i32, i: usize, count: i32): i32 {
  if (!isFloat) return ratioOf(spread, -unit);
  let pointer = predicted + i * <usize>width;
  if (width == 2 && count == 16) return ratioOf(spread, ulpOf(leastOf16(pointer)));
  let least = magnitudeMask;
  for (let k = 0; k < count; k++) {
    least = min(least, loadElement(pointer) & magnitudeMask);
    pointer += width;
  }
  return ratioOf(spread, ulpOf(least));
}

/** Shift of the means in the row at hand, which is counted. */
function nextRate(): i32 {
  const row = rowIndex++;
  return row < 16 ? 4 : row < 40 ? 5 : row < 100 ? 6 : row < 300 ? 7 : 8;
}

/** What differences are multiplied with to be compared with means. */
function gainOfRow(): f64 {
  return powerOfTwo(-unit - (scale >> 2)) * <f64>inverseQuarters(scale & 3);
}

/** One row that differs from its prediction, or that is not told to. */
function codeRow<D>(start: usize, columns: i32, strips: usize): void {
  codeScale<D>(start, columns);
  const spreadOfRow = scale * 2;
  const rate = nextRate();
  const gain = gainOfRow();
  let lastStrip = 1;
  let lastBlock = 1;
  let inBlock = false;
  let seen = false;
  let j = 0;
  while (j < columns) {
    const i = start + j;
    if (skip > 0 && (j & 255) == 0) {
      const count = min(256, columns - j);
      const strip = strips + (j >> 8);
      lastStrip = codeDiffers<D>(STRIP + lastStrip * 2 + load<u8>(strip), i, count);
      store<u8>(strip, <u8>lastStrip);
      if (lastStrip == 0) {
        j += count;
        continue;
      }
    }
    if (skip == 2 && (j & 15) == 0) {
      const count = min(16, columns - j);
      lastBlock = codeDiffers<D>(BLOCK + blockRatio(spreadOfRow, i, count) * 2 + lastBlock, i, count);
      if (lastBlock == 0) {
        j += count;
        continue;
      }
      inBlock = true;
      seen = false;
    }
    const mean = load<i32>(means + (<usize>j << 2));
    const spread = spreadOfRow + eighths(<f64>mean) - 96;
    let same = false;
    if (inBlock) {
      const position = j & 15;
      // The last element of a block differs if no other does.
      if (seen || (position != 15 && j != columns - 1)) {
        const ulp = isFloat ? ulpOf(loadElement(predicted + i * <usize>width)) : -unit;
        same = codeDiffers<D>(SAME + positionContext(seen, position) * RATIOS + ratioOf(spread, ulp), i, 1) == 0;
      }
      seen = seen || !same;
    }
    if (!same) codeElement<D>(i, spread, inBlock);
    if (hasMeans) adaptMean(means + (<usize>j << 2), differenceOf(i), gain, rate);
    j++;
  }
}

/** A stretch that has no plan. */
function codeOddStretch<D>(i: usize, meansAt: usize, count: i32, spreadOfRow: i32): void {
  for (let j = 0; j < count; j++) {
    codeElement<D>(i + j, spreadOfRow + eighths(<f64>load<i32>(meansAt + (<usize>j << 2))) - 96, false);
  }
}

/** `codeRow` by plans. */
function codePlannedRow<D>(start: usize, columns: i32, job: usize): void {
  codeScale<D>(start, columns);
  const spreadOfRow = scale * 2;
  const rate = nextRate();
  const gain = gainOfRow();
  const plan = job + PLAN_OFFSET;
  let lastStrip = 1;
  for (let j = 0; j < columns; j += STRETCH) {
    const count = min(STRETCH, columns - j);
    const i = start + j;
    if (skip > 0) {
      const strip = job + STRIP_OFFSET + (j >> 8);
      lastStrip = codeDiffers<D>(STRIP + lastStrip * 2 + load<u8>(strip), i, count);
      store<u8>(strip, <u8>lastStrip);
      if (lastStrip == 0) continue;
    }
    const value = values + i * <usize>width;
    const predictedAt = predicted + i * <usize>width;
    const wideAt = wide + (i << 2);
    const meansAt = means + (<usize>j << 2);
    if (!planStretch(plan, predictedAt, wideAt, narrowed + (i << 2), meansAt, count, spreadOfRow)) {
      codeOddStretch<D>(i, meansAt, count, spreadOfRow);
    } else if (isSigned<D>()) {
      memory.copy(value, predictedAt, count * width);
      decodeStretch(plan, value, count);
    } else {
      encodeStretch(plan, value, predictedAt, count);
    }
    if (hasMeans) adaptStretch(value, wideAt, meansAt, count, gain, rate);
  }
}

function codeRows<D>(job: usize, coder: usize, rows: i32, columns: i32): void {
  openJob(job);
  rowIndex = load<i32>(job, 36);
  scale = load<i32>(job, 40);
  setLowFlag(load<i32>(job, 44));
  lastRow = load<i32>(job, 48);
  means = job + COLUMN_OFFSET;
  wideStride = 4;
  if (width == 8) {
    wide = predicted + 4;
    narrowed = wide;
    wideStride = 8;
  }
  if (isSigned<D>()) loadDecoder(coder);
  else loadEncoder(coder);
  for (let row = 0; row < rows; row++) {
    const start = <usize>row * columns;
    if (skip > 0) {
      lastRow = codeDiffers<D>(ROW + lastRow, start, columns);
      if (lastRow == 0) continue;
    }
    if (isPlanned()) codePlannedRow<D>(start, columns, job);
    else codeRow<D>(start, columns, job + STRIP_OFFSET);
  }
  if (isSigned<D>()) saveDecoder(coder);
  else saveEncoder(coder);
  store<i32>(job, rowIndex, 36);
  store<i32>(job, scale, 40);
  store<i32>(job, lowFlag, 44);
  store<i32>(job, lastRow, 48);
}

/** 4096 · 2^(−k/4). */
function inverseQuarters(k: i32): i32 {
  return k < 2 ? (k == 0 ? 4096 : 3444) : (k == 2 ? 2896 : 2435);
}

/**
 * Codes `rows` × `columns` elements. values: elements, read; predicted: elements; wide and narrowed: float32
 * patterns of the prediction and of `predicted` (float dtypes but F64).
 */
export function encodeInterval(
  job: usize, coder: usize, rows: i32, columns: i32,
  valuesAt: usize, predictedAt: usize, wideAt: usize, narrowedAt: usize,
): void {
  values = valuesAt;
  predicted = predictedAt;
  wide = wideAt;
  narrowed = narrowedAt;
  codeRows<Encode>(job, coder, rows, columns);
}

/** The inverse: `values` are written. */
export function decodeInterval(
  job: usize, coder: usize, rows: i32, columns: i32,
  valuesAt: usize, predictedAt: usize, wideAt: usize, narrowedAt: usize,
): void {
  values = valuesAt;
  predicted = predictedAt;
  wide = wideAt;
  narrowed = narrowedAt;
  codeRows<Decode>(job, coder, rows, columns);
}

/** Rounds `count` float32 patterns at `drop` bits, to nearest even, modulo 2^32. */
export function dropBits(patterns: usize, count: i32, drop: i32): void {
  const half: u32 = (1 << (drop - 1)) - 1;
  const end = patterns + (<usize>count << 2);
  for (; patterns < end; patterns += 4) {
    const pattern = load<u32>(patterns);
    store<u32>(patterns, (pattern + half + ((pattern >> drop) & 1)) >> drop << drop);
  }
}

/** Fresh contexts and column means. */
export function resetInterval(job: usize, columns: i32): void {
  layPaces();
  store<i32>(job, 0, 36);
  store<i32>(job, 0, 40);
  store<i32>(job, 0, 44);
  store<i32>(job, 1, 48);
  for (let i: usize = 0; i < CONTEXTS; i++) store<u64>(job + CONTEXT_OFFSET + i * 8, freshContext());
  memory.fill(job + STRIP_OFFSET, 1, 256);
  for (let j: usize = 0; j < <usize>columns; j++) store<i32>(job + COLUMN_OFFSET + (j << 2), 4096);
}

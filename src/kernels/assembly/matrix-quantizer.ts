/**
 * The encoder's choices: row scales, and the levels that minimise weight · squared error + lambda · bits with
 * the costs that the contexts have now. Not normative. Float32, in the order of ../scalar/matrix-quantizer.ts.
 */
import {
  BLOCK, BLOCK_LEVELS, LEVELS, MORE, ROW_COUNT, ROW_FURTHER, ROW_MOVES, ROW_SCALE, TRELLIS, UNARY, ZERO, context, levelShift, maximum,
} from './matrix-model';

// The encoder's tables, behind the contexts.

const COSTS: usize = 12288; // f32 × 4096: bits of a decision of probability (i + ½) / 4096.
const SIZE_COSTS: usize = 28672; // f32 × 2 × 48 × 16: bits of a zero, of |k| − 1 >> shift = 0 to 13, least of an escape.
const FLAG_COSTS: usize = 34816; // f32 × 48: bits of a flag that says not zero, for Q0.
const BLOCK_COSTS: usize = 35072; // f32 × 2 × 12: bits of a zero, of a flag, in a block that has no code yet.
const PATHS: usize = 35328; // f32 × 8: costs of the ways into the states.
const CANDIDATES: usize = 35840; // i16 × 4 × SEGMENT: k by quantizer and parity.
const DECISIONS: usize = 68608; // u8 × SEGMENT: bit t: the better way into state t.

let known0: u64 = 0;
let known1: u64 = 0;
let knownBlocks: u64 = 0;

// @ts-ignore: decorator
@inline
function zeroProbability(number: usize): u32 {
  const at = context(number);
  return (<u32>load<u16>(at) + (load<u32>(at, 4) >> 16)) >> 2;
}

// Bits of a 0 with p = zeroProbability, and of a 1 with 32768 − p.
// @ts-ignore: decorator
@inline
function cost(probability: u32): f32 {
  return load<f32>(COSTS + <usize>(probability >> 3 << 2));
}

// log2 to about 0.01, from the float's own exponent.
function roughLog2(x: f32): f32 {
  const word = reinterpret<u32>(x);
  const fraction = reinterpret<f32>((word & 0x7fffff) | 0x3f800000) - 1;
  return <f32>(<i32>(word >> 23) - 127) + fraction + <f32>0.34 * (fraction - fraction * fraction);
}

function learnLevel(quantizer: u32, level: i32): void {
  const zero = zeroProbability(ZERO + quantizer * LEVELS + level);
  const shift = levelShift(level);
  const more = MORE + ((quantizer * 26 + (level < 26 ? level : 24 + (level & 1))) << 4);
  const target = SIZE_COSTS + (<usize>(quantizer * LEVELS + level) << 6);
  let sum: f32 = cost(32768 - zero) + <f32>(shift + 1);
  store<f32>(target, cost(zero));
  for (let u: u32 = 0; u < UNARY; u++) {
    const stop = zeroProbability(more + u);
    store<f32>(target + (u << 2), sum + cost(stop), 4);
    sum += cost(32768 - stop);
  }
  store<f32>(target, sum, 60);
  if (!quantizer) store<f32>(FLAG_COSTS + (<usize>level << 2), cost(32768 - zero));
}

function learnBlock(top: i32): void {
  const zero = cost(zeroProbability(BLOCK + top)) * <f32>0.0625;
  store<f32>(BLOCK_COSTS + (<usize>top << 3), zero);
  // −log2(1 − 2^−z) for small z
  store<f32>(BLOCK_COSTS + (<usize>top << 3), max<f32>(0, -roughLog2(zero * <f32>0.6931472)), 4);
}

/** The costs of a level, learnt when they are first asked for. */
// @ts-ignore: decorator
@inline
function levelCosts(quantizer: u32, level: i32): usize {
  const mark = <u64>1 << level;
  if (quantizer) {
    if (!(known1 & mark)) {
      known1 |= mark;
      learnLevel(1, level);
    }
  } else if (!(known0 & mark)) {
    known0 |= mark;
    learnLevel(0, level);
  }
  return SIZE_COSTS + (<usize>(quantizer * LEVELS + level) << 6);
}

// Bits of any |k| = k. Where `isCommon`, it is the k-th of the table.
function sizeCost(table: usize, level: i32, k: i32): f32 {
  if (k == 0) return load<f32>(table);
  const u = (k - 1) >> levelShift(level);
  if (u < <i32>UNARY) return load<f32>(table + (<usize>u << 2), 4);
  const length: i32 = 32 - clz<i32>(u - <i32>UNARY + 1);
  return load<f32>(table, 60) + <f32>length * 2;
}

// @ts-ignore: decorator
@inline
function isCommon(size: f32, level: i32): bool {
  return (size < <f32>26) & (level < 24);
}

/** Σ |x| of the row that `idealScale` saw last, of entries that are likely to have codes. */
export let magnitudes: f64 = 0;

/** The row scale of a row's mean magnitude; −1000 when no entry can become a code. */
export function idealScale(values: usize, columns: i32): f32 {
  let sum: f64 = 0;
  let largest: f32 = 0;
  const end = values + (<usize>columns << 2);
  for (let at = values; at < end; at += 4) {
    const size = abs(load<f32>(at));
    if (size > <f32>0.6) sum += min<f32>(size, 16384);
    if (size > largest) largest = size;
  }
  magnitudes = sum;
  if (!(largest > <f32>0.5)) return -1000;
  return <f32>4 * roughLog2(<f32>(2 * sum / <f64>columns + 0.0001));
}

/** Bits that a row of these magnitudes loses by a scale off by a quarter octave. */
// @ts-ignore: decorator
@inline
export function scaleLoss(columns: i32): f32 {
  return <f32>0.0217 * <f32>min(magnitudes, <f64>columns);
}

/**
 * The row scale for a row: that of its mean magnitude, moved towards the last one where that saves
 * more bits than it costs. -100 when no entry can become a code.
 */
export function matrixChooseScale(values: usize, columns: i32): i32 {
  const ideal = idealScale(values, columns);
  if (ideal == -1000) return -100;
  const wanted = min(max(<i32>nearest(ideal), -40), 60);
  if (load<i32>(0, ROW_COUNT) == 0) return wanted;
  const previous = load<i32>(0, ROW_SCALE);
  const step = wanted < previous ? 1 : -1;
  const loss = scaleLoss(columns);
  const moves = zeroProbability(ROW_MOVES);
  const movesCost = cost(32768 - moves) + 1;
  let best = wanted;
  let bestCost: f32 = f32.MAX_VALUE;
  for (let scale = wanted; ; scale += step) {
    const off = <f32>scale - ideal;
    let price: f32 = cost(moves);
    if (scale != previous) {
      price = movesCost;
      const size = abs(scale - previous);
      for (let i = 1; i < size; i++) price += cost(32768 - zeroProbability(ROW_FURTHER + min(i - 1, 19)));
      price += cost(zeroProbability(ROW_FURTHER + min(size - 1, 19)));
    }
    const total = loss * off * off + price;
    if (total < bestCost) {
      bestCost = total;
      best = scale;
    }
    if (scale == previous) break;
  }
  return best;
}

/** codes (k, i16): of every entry the level that minimises weight · squared error + lambda · bits. */
export function quantizeEntries(values: usize, weights: usize, levels: usize, codes: usize, columns: i32, lambda: f32): void {
  known0 = known1 = knownBlocks = 0;
  for (let block = 0; block < columns; block += 16) {
    const count = min(columns - block, 16);
    let top = BLOCK_LEVELS;
    if (count == 16) {
      const row = v128.load(levels);
      if (!v128.any_true(i8x16.ge_u(row, i8x16.splat(<i8>BLOCK_LEVELS)))) top = maximum(row);
    }
    let flagged = top == BLOCK_LEVELS;
    for (let j = 0; j < count; j++) {
      const size = min<f32>(abs(load<f32>(values)) * 2, 32766);
      let k = 0;
      if (size > 1) {
        const level: i32 = load<u8>(levels);
        const table = levelCosts(0, level);
        const weight = load<f32>(weights);
        let zero = load<f32>(table);
        let flag: f32 = 0;
        if (!flagged) {
          if (!(knownBlocks & (1 << top))) {
            knownBlocks |= 1 << top;
            learnBlock(top);
          }
          zero = load<f32>(BLOCK_COSTS + (<usize>top << 3));
          flag = load<f32>(BLOCK_COSTS + (<usize>top << 3), 4) - load<f32>(FLAG_COSTS + (<usize>level << 2));
        }
        const low = <i32>(size * <f32>0.5);
        const common = isCommon(size, level);
        const lowBits = common ? load<f32>(table + (<usize>low << 2)) : sizeCost(table, level, low);
        const upBits = common ? load<f32>(table + (<usize>low << 2), 4) : sizeCost(table, level, low + 1);
        const lowOff = size - <f32>(low << 1);
        const upOff = lowOff - 2;
        let best: f32 = weight * size * size + lambda * zero;
        const lowCost = low == 0 ? <f32>Infinity : weight * lowOff * lowOff + lambda * (flag + lowBits);
        k = lowCost < best ? low : 0;
        best = lowCost < best ? lowCost : best;
        const upCost = low == 16383 ? <f32>Infinity : weight * upOff * upOff + lambda * (flag + upBits);
        k = upCost < best ? low + 1 : k;
        if (k != 0) {
          // The rest of the block is coded as elsewhere.
          flagged = true;
          if (load<f32>(values) < 0) k = -k;
        }
      }
      store<i16>(codes, <i16>k);
      values += 4;
      weights += 4;
      codes += 2;
      levels++;
    }
  }
}

/**
 * Viterbi over the trellis: codes (k, i16) of at most SEGMENT entries from the state the coder is in.
 */
// @ts-ignore: decorator
@inline
export function quantizeTrellis(eight: bool, values: usize, weights: usize, levels: usize, codes: usize, columns: i32, lambda: f32): void {
  known0 = known1 = 0;
  const place = load<u32>(0, TRELLIS);
  // Costs of the ways into states 0 to 3 and 4 to 7.
  let low = f32x4.splat(1e30);
  let high = f32x4.splat(1e30);
  v128.store(PATHS, low);
  v128.store(PATHS, high, 16);
  store<f32>(PATHS + (place << 2), 0);
  low = v128.load(PATHS);
  high = v128.load(PATHS, 16);
  let candidates = CANDIDATES;
  for (let j = 0; j < columns; j++) {
    let size = min<f32>(abs(load<f32>(values + (<usize>j << 2))) * 2, 32766);
    if (!(size > 0)) size = 0;
    const weight = load<f32>(weights + (<usize>j << 2));
    const level: i32 = load<u8>(levels + j);
    const table = levelCosts(0, level);
    const table1 = levelCosts(1, level);
    // Candidates: floor and ceiling of (size + Q) / 2, the even one first; and 0.
    const sizes = f32x4.splat(size);
    const floors = i32x4.trunc_sat_f32x4_s(f32x4.mul(f32x4.add(sizes, f32x4(0, 0, 1, 1)), f32x4.splat(0.5)));
    const k = v128.or(v128.and(i32x4.add(floors, i32x4(1, 0, 1, 0)), i32x4.splat(-2)), i32x4(0, 1, 0, 1));
    const a0 = i32x4.extract_lane(k, 0);
    const b0 = i32x4.extract_lane(k, 1);
    const a1 = i32x4.extract_lane(k, 2);
    const b1 = i32x4.extract_lane(k, 3);
    let bits: v128;
    if (isCommon(size, level)) {
      bits = v128.load32_zero(table + (<usize>a0 << 2));
      bits = v128.load32_lane(table + (<usize>b0 << 2), bits, 1);
      bits = v128.load32_lane(table1 + (<usize>a1 << 2), bits, 2);
      bits = v128.load32_lane(table1 + (<usize>b1 << 2), bits, 3);
    } else {
      bits = f32x4.splat(sizeCost(table, level, a0));
      bits = f32x4.replace_lane(bits, 1, sizeCost(table, level, b0));
      bits = f32x4.replace_lane(bits, 2, sizeCost(table1, level, a1));
      bits = f32x4.replace_lane(bits, 3, sizeCost(table1, level, b1));
    }
    const weightLanes = f32x4.splat(weight);
    const lambdas = f32x4.splat(lambda);
    const off = f32x4.sub(sizes, f32x4.sub(f32x4.convert_i32x4_s(i32x4.shl(k, 1)), f32x4(0, 0, 1, 1)));
    let c = f32x4.add(f32x4.mul(f32x4.mul(weightLanes, off), off), f32x4.mul(lambdas, bits));
    // A k of 16384 is none.
    c = v128.bitselect(f32x4.splat(1e30), c, i32x4.gt_s(k, i32x4.splat(16383)));
    const zeroBits = v128.shuffle<f32>(v128.load32_zero(table), v128.load32_zero(table1), 0, 0, 4, 4);
    const none = f32x4.add(f32x4.splat(weight * size * size), f32x4.mul(lambdas, zeroBits));
    const zeroed = v128.and(f32x4.lt(none, c), i32x4(-1, 0, -1, 0));
    c = v128.bitselect(none, c, zeroed);
    const kept = v128.andnot(k, zeroed);
    v128.store64_lane(candidates, i16x8.narrow_i32x4_s(kept, kept), 0);
    candidates += 8;
    if (eight) {
      const forth = v128.shuffle<f32>(c, c, 0, 1, 3, 2);
      const back = v128.shuffle<f32>(c, c, 1, 0, 2, 3);
      const a = f32x4.add(v128.shuffle<f32>(low, low, 0, 0, 1, 1), forth);
      const b = f32x4.add(v128.shuffle<f32>(high, high, 0, 0, 1, 1), back);
      const d = f32x4.add(v128.shuffle<f32>(low, low, 2, 2, 3, 3), back);
      const e = f32x4.add(v128.shuffle<f32>(high, high, 2, 2, 3, 3), forth);
      const first = f32x4.lt(b, a);
      const second = f32x4.lt(e, d);
      store<u8>(DECISIONS + j, <u8>(i32x4.bitmask(first) | (i32x4.bitmask(second) << 4)));
      low = v128.bitselect(b, a, first);
      high = v128.bitselect(e, d, second);
    } else {
      const a = f32x4.add(v128.shuffle<f32>(low, low, 0, 2, 0, 2), v128.shuffle<f32>(c, c, 0, 2, 1, 3));
      const b = f32x4.add(v128.shuffle<f32>(low, low, 1, 3, 1, 3), v128.shuffle<f32>(c, c, 1, 3, 0, 2));
      const first = f32x4.lt(b, a);
      store<u8>(DECISIONS + j, <u8>i32x4.bitmask(first));
      low = v128.bitselect(b, a, first);
    }
  }
  v128.store(PATHS, low);
  v128.store(PATHS, high, 16);
  let state: u32 = 0;
  const states = eight ? 8 : 4;
  for (let t = 1; t < states; t++) {
    if (load<f32>(PATHS + (t << 2)) < load<f32>(PATHS + (state << 2))) state = t;
  }
  for (let j = columns - 1; j >= 0; j--) {
    candidates -= 8;
    const way = (<u32>load<u8>(DECISIONS + j) >> state) & 1;
    let parity: u32;
    let quantizer: u32;
    if (eight) {
      // 10010110: parity of the way from the lower half into state t.
      parity = ((0b10010110 >> state) & 1) ^ way;
      state = (way << 2) | (state >> 1);
      quantizer = state & 1;
    } else {
      parity = (state >> 1) ^ way;
      state = ((state & 1) << 1) | way;
      quantizer = state >> 1;
    }
    const k: i32 = load<i16>(candidates + (((quantizer << 1) | parity) << 1));
    store<i16>(codes + (<usize>j << 1), <i16>(load<f32>(values + (<usize>j << 2)) < 0 ? -k : k));
  }
}

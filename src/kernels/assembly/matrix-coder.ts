/**
 * The matrix coder of docs/spec/matrix-coder.md: both directions of its model, and the quantiser that
 * feeds it. The memory belongs to one coder; its map is that of ../matrix-model.ts.
 */
import {
  CONTEXT_BYTES, Decode, Encode, codeBit, codeRaw, loadDecoder,
  loadEncoder, raw, saveDecoder, saveEncoder,
} from './range-coder';

// Numbers of contexts; equal to those of ../matrix-model.ts.
const ZERO: usize = 0;
const MORE: usize = 96;
const BLOCK: usize = 928;
const FIRST: usize = 940;
const ESCAPE: usize = 956;
const ROW_ZERO: usize = 972;
const ROW_MOVES: usize = 973;
const ROW_DOWN: usize = 974;
const ROW_FURTHER: usize = 975;
const CONTEXTS: usize = 128;

const LEVELS: i32 = 48;
const BLOCK_LEVELS: i32 = 12;
const UNARY: u32 = 14;
const FAST: u32 = 6;
const SLOW: u32 = 8;

// Scalars of the coder, behind the 64 bytes of the range coder.
const ROW_SCALE: usize = 64;
const ROW_COUNT: usize = 68;
const TRELLIS: usize = 72;

// Next states of the trellis, four bits each, number 2 · state + parity; bit s of QUANTISERS: state s uses Q1.
const NEXT_4: u64 = 0x0000000013310220;
const QUANTISERS_4: u32 = 0b1100;
const NEXT_8: u64 = 0x6754320176452310;
const QUANTISERS_8: u32 = 0b10101010;

// @ts-ignore: decorator
@inline
function context(number: usize): usize {
  return CONTEXTS + number * CONTEXT_BYTES;
}

// @ts-ignore: decorator
@inline
function bits<D>(number: usize, value: i32): bool {
  return codeBit<D>(context(number), value, FAST, SLOW);
}

/** Bits of a magnitude at this level that are coded as they are. */
// @ts-ignore: decorator
@inline
function levelShift(level: i32): i32 {
  return level < 24 ? 0 : (level - 22) >> 1;
}

/** Codes k ≠ 0 of one entry, sign included; returns it. */
function codeMagnitude<D>(quantiser: u32, level: i32, value: i32): i32 {
  const shift = levelShift(level);
  const row = level < 26 ? level : 24 + (level & 1);
  const more = context(MORE) + (<usize>(quantiser * 26 + row) << 4) * CONTEXT_BYTES;
  const rest: u32 = isSigned<D>() ? 0 : <u32>abs(value) - 1;
  const target: u32 = rest >> shift;
  let count: u32 = 0;
  while (count < UNARY) {
    if (!codeBit<D>(more + <usize>count * CONTEXT_BYTES, i32(target > count), FAST, SLOW)) break;
    count++;
  }
  if (count == UNARY) {
    const escaped = target - UNARY + 1;
    const length: u32 = isSigned<D>() ? 0 : 31 - clz(escaped);
    let t: u32 = 0;
    while (t < 14) {
      if (!bits<D>(ESCAPE + t, i32(t < length))) break;
      t++;
    }
    codeRaw<D>(escaped & ((1 << t) - 1), t);
    count = UNARY - 1 + ((1 << t) | raw);
  }
  codeRaw<D>(((rest & ((1 << shift) - 1)) << 1) | u32(value < 0), shift + 1);
  if (isSigned<D>()) {
    const size = <i32>min<u32>(((count << shift) | (raw >> 1)) + 1, 16383);
    return raw & 1 ? -size : size;
  }
  return value;
}

/** Codes the row scale; the new one is stored. `target` is it when encoding. */
function codeRowScale<D>(target: i32): void {
  const previous = load<i32>(0, ROW_SCALE);
  if (load<i32>(0, ROW_COUNT) == 0) {
    codeRaw<D>(target + 40, 7);
    store<i32>(0, min(<i32>raw - 40, 60), ROW_SCALE);
    return;
  }
  const move: i32 = isSigned<D>() ? 0 : target - previous;
  if (!bits<D>(ROW_MOVES, i32(move != 0))) return;
  const down = bits<D>(ROW_DOWN, i32(move < 0));
  let size = 1;
  while (size < 100) {
    if (!bits<D>(ROW_FURTHER + min(size - 1, 19), i32(abs(move) > size))) break;
    size++;
  }
  store<i32>(0, min(max(down ? previous - size : previous + size, -40), 60), ROW_SCALE);
}

/** levels (u8) of one row from the averages (i32) and the row scale. Writes up to 15 bytes past the end. */
export function prepareLevels(averages: usize, levels: usize, columns: i32): void {
  const offset = i32x4.splat(2 * load<i32>(0, ROW_SCALE) - (127 << 3) - 128 + 74);
  const top = i8x16.splat(<i8>(LEVELS - 1));
  for (let j = 0; j < columns; j += 16) {
    const a = level4(averages, 0, offset);
    const b = level4(averages, 16, offset);
    const c = level4(averages, 32, offset);
    const d = level4(averages, 48, offset);
    const low = i16x8.narrow_i32x4_s(a, b);
    const high = i16x8.narrow_i32x4_s(c, d);
    v128.store(levels, i8x16.min_u(i8x16.narrow_i16x8_u(low, high), top));
    averages += 64;
    levels += 16;
  }
}

// @ts-ignore: decorator
@inline
function level4(averages: usize, at: usize, offset: v128): v128 {
  const exponent = i32x4.shr_s(f32x4.convert_i32x4_s(v128.load(averages + at)), 20);
  return i32x4.shr_s(i32x4.add(exponent, offset), 2);
}

/** Moves the averages towards the magnitudes of a row of reconstructed codes (i16, padded with zeros). */
export function updateAverages(averages: usize, codes: usize, columns: i32): void {
  const scale = load<i32>(0, ROW_SCALE);
  const count = load<i32>(0, ROW_COUNT);
  store<i32>(0, min(count + 1, 1 << 20), ROW_COUNT);
  const rate = count < 2 ? 2 : count < 6 ? 3 : count < 16 ? 4 : count < 40 ? 5 : count < 100 ? 6 : 7;
  const fraction = scale & 3;
  const inverse = i32x4.splat(fraction == 0 ? 4096 : fraction == 1 ? 3444 : fraction == 2 ? 2896 : 2435);
  const shift = 4 - (scale >> 2);
  const up = max(shift, 0);
  const down = max(-shift, 0);
  const ceiling = i32x4.splat(shift >= 0 ? (2048 >> up) + 2 : 32767);
  const limit = i32x4.splat(1 << 22);
  const floor = i32x4.splat(256);
  const end = averages + (<usize>columns << 2);
  while (averages < end) {
    const q = v128.load(codes);
    const low = i32x4.min_s(i32x4.abs(i32x4.extend_low_i16x8_s(q)), ceiling);
    const high = i32x4.min_s(i32x4.abs(i32x4.extend_high_i16x8_s(q)), ceiling);
    const x = i32x4.min_s(i32x4.shr_u(i32x4.shl(i32x4.mul(low, inverse), up), down), limit);
    const y = i32x4.min_s(i32x4.shr_u(i32x4.shl(i32x4.mul(high, inverse), up), down), limit);
    const a = v128.load(averages);
    const b = v128.load(averages, 16);
    v128.store(averages, i32x4.max_s(i32x4.add(a, i32x4.shr_s(i32x4.sub(x, a), rate)), floor));
    v128.store(averages, i32x4.max_s(i32x4.add(b, i32x4.shr_s(i32x4.sub(y, b), rate)), floor), 16);
    averages += 32;
    codes += 16;
  }
}

// @ts-ignore: decorator
@inline
function maximum(x: v128): i32 {
  x = i8x16.max_u(x, i8x16.shuffle(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15));
  x = i8x16.max_u(x, i8x16.shuffle(x, x, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7));
  x = i8x16.max_u(x, i8x16.shuffle(x, x, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3));
  x = i8x16.max_u(x, i8x16.shuffle(x, x, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1));
  return i8x16.extract_lane_u(x, 0);
}

/**
 * Codes `columns` entries of a row. codes (i16): k when encoding, replaced by half steps in both directions.
 */
// @ts-ignore: decorator
@inline
function codeEntries<D>(trellis: bool, levels: usize, codes: usize, columns: i32, next: u64, quantisers: u32): void {
  let place: u32 = load<u32>(0, TRELLIS);
  for (let block = 0; block < columns; block += 16) {
    let end = min(columns - block, 16);
    let j = 0;
    if (!trellis && end == 16) {
      const row = v128.load(levels);
      if (!v128.any_true(i8x16.ge_u(row, i8x16.splat(<i8>BLOCK_LEVELS)))) {
        const top = maximum(row);
        const any = isSigned<D>() ? 0 : i32(v128.any_true(v128.or(v128.load(codes), v128.load(codes, 16))));
        if (!bits<D>(BLOCK + top, any)) {
          if (isSigned<D>()) {
            v128.store(codes, i64x2.splat(0));
            v128.store(codes, i64x2.splat(0), 16);
          }
          levels += 16;
          codes += 32;
          continue;
        }
        while (j < 16) {
          let k: i32 = isSigned<D>() ? 0 : load<i16>(codes);
          if (j == 15 || bits<D>(FIRST + j, i32(k != 0))) k = codeMagnitude<D>(0, load<u8>(levels), k);
          store<i16>(codes, <i16>(2 * k));
          levels++;
          codes += 2;
          j++;
          if (k != 0) break;
        }
      }
    }
    for (; j < end; j++) {
      const quantiser: u32 = trellis ? (quantisers >> place) & 1 : 0;
      const level: i32 = load<u8>(levels);
      let k: i32 = isSigned<D>() ? 0 : load<i16>(codes);
      if (bits<D>(ZERO + quantiser * LEVELS + level, i32(k != 0))) k = codeMagnitude<D>(quantiser, level, k);
      store<i16>(codes, <i16>(2 * k - (trellis && quantiser ? i32(k > 0) - i32(k < 0) : 0)));
      if (trellis) place = <u32>(next >> (((place << 1) | (k & 1)) << 2)) & 15;
      levels++;
      codes += 2;
    }
  }
  if (trellis) store<u32>(0, place, TRELLIS);
}


/** Decodes rows into `out` (i16, half steps, `columns` apart). Writes up to 30 bytes past the end. */
export function matrixDecodeRows(states: i32, averages: usize, levels: usize, columns: i32, rows: i32, out: usize): void {
  loadDecoder(0);
  const stride = <usize>columns << 1;
  for (let row = 0; row < rows; row++) {
    if (bits<Decode>(ROW_ZERO, 0)) {
      memory.fill(out, 0, stride);
    } else {
      codeRowScale<Decode>(0);
      prepareLevels(averages, levels, columns);
      if (states == 1) codeEntries<Decode>(false, levels, out, columns, 0, 0);
      else if (states == 4) codeEntries<Decode>(true, levels, out, columns, NEXT_4, QUANTISERS_4);
      else codeEntries<Decode>(true, levels, out, columns, NEXT_8, QUANTISERS_8);
      updateAverages(averages, out, columns);
    }
    out += stride;
  }
  saveDecoder(0);
}

// ---- Encoder. Only the bytes are normative; the quantiser below is this encoder's choice. ----

const COSTS: usize = 12288; // f32 × 4096: bits of a decision of probability (i + ½) / 4096.
const SIZE_COSTS: usize = 28672; // f32 × 2 × 48 × 16: bits of a zero, of |k| − 1 >> shift = 0 to 13, least of an escape.
const FLAG_COSTS: usize = 34816; // f32 × 48: bits of a flag that says not zero, for Q0.
const BLOCK_COSTS: usize = 35072; // f32 × 2 × 12: bits of a zero, of a flag, in a block that has no code yet.
const PATHS: usize = 35328; // f32 × 8: costs of the ways into the states.
const CANDIDATES: usize = 35840; // i16 × 4 × SEGMENT: k by quantiser and parity.
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

function learnLevel(quantiser: u32, level: i32): void {
  const zero = zeroProbability(ZERO + quantiser * LEVELS + level);
  const shift = levelShift(level);
  const more = MORE + ((quantiser * 26 + (level < 26 ? level : 24 + (level & 1))) << 4);
  const target = SIZE_COSTS + (<usize>(quantiser * LEVELS + level) << 6);
  let sum: f32 = cost(32768 - zero) + <f32>(shift + 1);
  store<f32>(target, cost(zero));
  for (let u: u32 = 0; u < UNARY; u++) {
    const stop = zeroProbability(more + u);
    store<f32>(target + (u << 2), sum + cost(stop), 4);
    sum += cost(32768 - stop);
  }
  store<f32>(target, sum, 60);
  if (!quantiser) store<f32>(FLAG_COSTS + (<usize>level << 2), cost(32768 - zero));
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
function levelCosts(quantiser: u32, level: i32): usize {
  const mark = <u64>1 << level;
  if (quantiser) {
    if (!(known1 & mark)) {
      known1 |= mark;
      learnLevel(1, level);
    }
  } else if (!(known0 & mark)) {
    known0 |= mark;
    learnLevel(0, level);
  }
  return SIZE_COSTS + (<usize>(quantiser * LEVELS + level) << 6);
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

/**
 * The row scale for a row: that of its mean magnitude, moved towards the last one where that saves
 * more bits than it costs. -100 when no entry can become a code.
 */
export function matrixChooseScale(values: usize, columns: i32): i32 {
  let sum: f64 = 0;
  let largest: f32 = 0;
  const end = values + (<usize>columns << 2);
  for (let at = values; at < end; at += 4) {
    const size = abs(load<f32>(at));
    if (size > <f32>0.6) sum += min<f32>(size, 16384);
    if (size > largest) largest = size;
  }
  if (!(largest > <f32>0.5)) return -100;
  const ideal = <f32>4 * roughLog2(<f32>(2 * sum / <f64>columns + 0.0001));
  const wanted = min(max(<i32>nearest(ideal), -40), 60);
  if (load<i32>(0, ROW_COUNT) == 0) return wanted;
  const previous = load<i32>(0, ROW_SCALE);
  const step = wanted < previous ? 1 : -1;
  // Bits that a row of this many magnitudes loses by a scale off by a quarter octave.
  const loss = <f32>0.0217 * <f32>min(sum, <f64>columns);
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
function quantizeEntries(values: usize, weights: usize, levels: usize, codes: usize, columns: i32, lambda: f32): void {
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
function quantizeTrellis(eight: bool, values: usize, weights: usize, levels: usize, codes: usize, columns: i32, lambda: f32): void {
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
    let quantiser: u32;
    if (eight) {
      // 10010110: parity of the way from the lower half into state t.
      parity = ((0b10010110 >> state) & 1) ^ way;
      state = (way << 2) | (state >> 1);
      quantiser = state & 1;
    } else {
      parity = (state >> 1) ^ way;
      state = ((state & 1) << 1) | way;
      quantiser = state >> 1;
    }
    const k: i32 = load<i16>(candidates + (((quantiser << 1) | parity) << 1));
    store<i16>(codes + (<usize>j << 1), <i16>(load<f32>(values + (<usize>j << 2)) < 0 ? -k : k));
  }
}

/** Codes that the row is, or is not, all zeros, and its scale (-100 for none); prepares the levels. */
export function matrixOpenRow(scale: i32, averages: usize, levels: usize, columns: i32): void {
  loadEncoder(0);
  bits<Encode>(ROW_ZERO, i32(scale == -100));
  if (scale != -100) {
    codeRowScale<Encode>(scale);
    prepareLevels(averages, levels, columns);
  }
  saveEncoder(0);
}

/** Codes entries of an open row: k in, half steps out. */
export function matrixCodeEntries(states: i32, levels: usize, codes: usize, columns: i32): void {
  loadEncoder(0);
  if (states == 1) codeEntries<Encode>(false, levels, codes, columns, 0, 0);
  else if (states == 4) codeEntries<Encode>(true, levels, codes, columns, NEXT_4, QUANTISERS_4);
  else codeEntries<Encode>(true, levels, codes, columns, NEXT_8, QUANTISERS_8);
  saveEncoder(0);
}

/** Chooses the codes (k) of entries of a row whose levels are prepared. Returns 0 when all are zero. */
export function matrixQuantize(
  states: i32, values: usize, weights: usize, levels: usize, codes: usize, columns: i32, lambda: f32,
): i32 {
  if (states == 1) quantizeEntries(values, weights, levels, codes, columns, lambda);
  else if (states == 4) quantizeTrellis(false, values, weights, levels, codes, columns, lambda);
  else quantizeTrellis(true, values, weights, levels, codes, columns, lambda);
  const end = codes + (<usize>columns << 1);
  let any: i32 = 0;
  for (; codes < end; codes += 2) any |= load<i16>(codes);
  return any;
}

/** Encodes one row of at most SEGMENT columns; `codes` (i16): half steps out. */
export function matrixEncodeRow(
  states: i32, values: usize, weights: usize, averages: usize, levels: usize, codes: usize, columns: i32, lambda: f32,
): void {
  let scale = matrixChooseScale(values, columns);
  if (scale != -100) {
    const previous = load<i32>(0, ROW_SCALE);
    store<i32>(0, scale, ROW_SCALE);
    prepareLevels(averages, levels, columns);
    if (!matrixQuantize(states, values, weights, levels, codes, columns, lambda)) scale = -100;
    store<i32>(0, previous, ROW_SCALE);
  }
  matrixOpenRow(scale, averages, levels, columns);
  if (scale == -100) {
    memory.fill(codes, 0, <usize>columns << 1);
  } else {
    matrixCodeEntries(states, levels, codes, columns);
    updateAverages(averages, codes, columns);
  }
}

/** The matrix coder's entry points: rows of a matrix to a chunk and back. */
import { decodeEntries1, decodeEntries4, decodeEntries8 } from './matrix-decoder';
import {
  NEXT_4, NEXT_8, ROW_SCALE, ROW_ZERO, SECOND_4, SECOND_8, bits, codeRowScale, encodeEntries, prepareLevels,
  updateAverages,
} from './matrix-model';
import { matrixChooseScale, quantizeEntries, quantizeTrellis } from './matrix-quantizer';
import { Decode, Encode, loadDecoder, loadEncoder, saveDecoder, saveEncoder } from './range-coder';

/** Decodes rows into `out` (i16, half steps, `columns` apart). Reads up to 14 bytes past the end. */
export function matrixDecodeRows(states: i32, averages: usize, levels: usize, columns: i32, rows: i32, out: usize): void {
  loadDecoder(0);
  const stride = <usize>columns << 1;
  for (let row = 0; row < rows; row++) {
    if (bits<Decode>(ROW_ZERO, 0)) {
      memory.fill(out, 0, stride);
    } else {
      codeRowScale<Decode>(0);
      prepareLevels(averages, levels, columns);
      if (states == 1) decodeEntries1(levels, out, columns);
      else if (states == 4) decodeEntries4(levels, out, columns);
      else decodeEntries8(levels, out, columns);
      updateAverages(averages, out, columns);
    }
    out += stride;
  }
  saveDecoder(0);
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
  if (states == 1) encodeEntries(false, levels, codes, columns, 0, 0);
  else if (states == 4) encodeEntries(true, levels, codes, columns, NEXT_4, SECOND_4);
  else encodeEntries(true, levels, codes, columns, NEXT_8, SECOND_8);
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

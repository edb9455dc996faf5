/**
 * Operand packing for the tiled products. A *tile* is 4 rows of the left operand, a *panel* is
 * PANEL_BYTES of the right operand per step of k; both lie so that the inner loop reads forward.
 * Rows and columns past the edge are zeros.
 *
 *   kind      element   k per step   tile step          panel step
 *   int16     i16       2            4 rows × 2 k       8 columns × 2 k
 *   float64   f64       1            4 rows             4 columns
 *   float32   f32       1            4 rows             8 columns
 */

export const PANEL_BYTES: usize = 32;

// Two neighbours in k of one row; the second is zero past the end of an odd row.
// @ts-ignore: decorator
@inline
function pairAt(row: usize, index: i32, k: i32): u32 {
  const pointer = row + (<usize>index << 1);
  return index + 1 < k ? load<u32>(pointer) : <u32>load<u16>(pointer);
}

// @ts-ignore: decorator
@inline
function packPairs(source: usize, vectors: i32, k: i32, target: usize, width: i32): void {
  const rowBytes = <usize>k << 1;
  const step = <usize>width << 2;
  const steps = (k + 1) >> 1;
  for (let first = 0; first < vectors; first += width) {
    for (let lane = 0; lane < width; lane++) {
      let pointer = target + (<usize>lane << 2);
      const row = source + <usize>(first + lane) * rowBytes;
      const present = first + lane < vectors;
      for (let index = 0; index < k; index += 2) {
        store<u32>(pointer, present ? pairAt(row, index, k) : 0);
        pointer += step;
      }
    }
    target += <usize>steps * step;
  }
}

/** Rows of int16 (rows × k) to tiles. */
export function packTilesInt16(source: usize, rows: i32, k: i32, target: usize): void {
  packPairs(source, rows, k, target, 4);
}

/** Columns of int16 (columns × k) to panels of 8. */
export function packPanelsInt16(source: usize, columns: i32, k: i32, target: usize): void {
  packPairs(source, columns, k, target, 8);
}

// @ts-ignore: decorator
@inline
function packDoubles(source: usize, vectors: i32, k: i32, target: usize, width: i32, integers: bool): void {
  const step = <usize>width << 3;
  for (let first = 0; first < vectors; first += width) {
    for (let lane = 0; lane < width; lane++) {
      let pointer = target + (<usize>lane << 3);
      const present = first + lane < vectors;
      const row = <usize>(first + lane) * <usize>k;
      for (let index = 0; index < k; index++) {
        const at = row + <usize>index;
        const value: f64 = !present ? 0
          : integers ? <f64>load<i32>(source + (at << 2)) : load<f64>(source + (at << 3));
        store<f64>(pointer, value);
        pointer += step;
      }
    }
    target += <usize>k * step;
  }
}

/** Rows of int32 or float64 (rows × k) to tiles of float64. */
export function packTilesWide(source: usize, rows: i32, k: i32, target: usize, integers: bool): void {
  if (integers) packDoubles(source, rows, k, target, 4, true);
  else packDoubles(source, rows, k, target, 4, false);
}

/** Columns of int32 or float64 (columns × k) to panels of 4 in float64. */
export function packPanelsWide(source: usize, columns: i32, k: i32, target: usize, integers: bool): void {
  if (integers) packDoubles(source, columns, k, target, 4, true);
  else packDoubles(source, columns, k, target, 4, false);
}

/**
 * float32 tiles of 4 rows out of `rows` × `k`; element (i, p) is at source + i·rowStride + p·kStride
 * bytes, so both A and its transpose are read in place.
 */
export function packTilesFloat32(source: usize, rowStride: i32, kStride: i32, rows: i32, k: i32, target: usize): void {
  for (let first = 0; first < rows; first += 4) {
    for (let lane = 0; lane < 4; lane++) {
      let pointer = target + (<usize>lane << 2);
      let from = source + <usize>(first + lane) * <usize>rowStride;
      const present = first + lane < rows;
      for (let index = 0; index < k; index++) {
        store<f32>(pointer, present ? load<f32>(from) : 0);
        from += kStride;
        pointer += 16;
      }
    }
    target += <usize>k << 4;
  }
}

/** float32 panels of 8 columns out of `k` rows × `columns`, row-major. */
export function packPanelsFloat32(source: usize, columns: i32, k: i32, target: usize): void {
  const rowBytes = <usize>columns << 2;
  for (let first = 0; first < columns; first += 8) {
    let from = source + (<usize>first << 2);
    const width = min(8, columns - first);
    for (let index = 0; index < k; index++) {
      if (width == 8) {
        v128.store(target, v128.load(from));
        v128.store(target, v128.load(from, 16), 16);
      } else {
        for (let lane = 0; lane < 8; lane++) {
          store<f32>(target + (<usize>lane << 2), lane < width ? load<f32>(from + (<usize>lane << 2)) : 0);
        }
      }
      from += rowBytes;
      target += PANEL_BYTES;
    }
  }
}

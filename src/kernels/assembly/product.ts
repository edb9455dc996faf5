/**
 * Walks tiles and panels of a packed product. Panels go in chunks that stay in the second-level cache
 * while every tile of the block passes over them; out is written forward along its rows.
 * An edge tile is computed in `edge` (4 × 32 bytes) and copied.
 */
import { PANEL_BYTES } from './pack';
import { tileInt16, tileFloat64, tileFloat32 } from './tiles';

const INT16: i32 = 0;
const FLOAT64: i32 = 1;
const FLOAT32: i32 = 2;

/** Bytes of panels that one pass of tiles uses: half of a 1 MiB second-level cache, less the tiles. */
export const CHUNK_BYTES: usize = 384 * 1024;

// @ts-ignore: decorator
@inline
function tile(kind: i32, a: usize, b: usize, steps: i32, scale: f32, out: usize, stride: usize): void {
  if (kind == INT16) tileInt16(a, b, steps, scale, out, stride);
  else if (kind == FLOAT64) tileFloat64(a, b, steps, scale, out, stride);
  else tileFloat32(a, b, steps, out, stride);
}

// @ts-ignore: decorator
@inline
function copyTile(source: usize, sourceStride: usize, target: usize, targetStride: usize, rows: i32, columns: i32): void {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const offset = <usize>column << 2;
      store<f32>(target + offset, load<f32>(source + offset));
    }
    source += sourceStride;
    target += targetStride;
  }
}

// @ts-ignore: decorator
@inline
function walk(
  kind: i32, a: usize, b: usize, rows: i32, columns: i32, steps: i32, scale: f32,
  out: usize, stride: usize, edge: usize,
): void {
  const width: i32 = kind == FLOAT64 ? 4 : 8;
  const tileBytes = <usize>steps << (kind == FLOAT64 ? 5 : 4);
  const panelBytes = <usize>steps * PANEL_BYTES;
  const chunk = width * max<i32>(1, <i32>(CHUNK_BYTES / max<usize>(panelBytes, PANEL_BYTES)));
  for (let from = 0; from < columns; from += chunk) {
    const to = min(from + chunk, columns);
    for (let row = 0; row < rows; row += 4) {
      const tileRows = min(4, rows - row);
      const tileA = a + <usize>(row >> 2) * tileBytes;
      let panel = b + <usize>(from / width) * panelBytes;
      let target = out + <usize>row * stride + (<usize>from << 2);
      for (let column = from; column < to; column += width) {
        const tileColumns = min(width, to - column);
        const isEdge = tileRows < 4 || tileColumns < width;
        if (isEdge) copyTile(target, stride, edge, PANEL_BYTES, tileRows, tileColumns);
        tile(kind, tileA, panel, steps, scale, isEdge ? edge : target, isEdge ? PANEL_BYTES : stride);
        if (isEdge) copyTile(edge, PANEL_BYTES, target, stride, tileRows, tileColumns);
        panel += panelBytes;
        target += <usize>width << 2;
      }
    }
  }
}

/** out += scale · A·Bᵀ over int16; `steps` = ceil(k / 2). */
export function productInt16(
  a: usize, b: usize, rows: i32, columns: i32, steps: i32, scale: f32, out: usize, stride: usize, edge: usize,
): void {
  walk(INT16, a, b, rows, columns, steps, scale, out, stride, edge);
}

/** out += scale · A·Bᵀ over integers in float64; `steps` = k. */
export function productFloat64(
  a: usize, b: usize, rows: i32, columns: i32, steps: i32, scale: f32, out: usize, stride: usize, edge: usize,
): void {
  walk(FLOAT64, a, b, rows, columns, steps, scale, out, stride, edge);
}

/** out = f32(out + A·B) over `steps` of k in float32. */
export function productFloat32(
  a: usize, b: usize, rows: i32, columns: i32, steps: i32, out: usize, stride: usize, edge: usize,
): void {
  walk(FLOAT32, a, b, rows, columns, steps, 0, out, stride, edge);
}

/** Integer codes in blocks: dense accumulation, and the bit stream. */
import { checkCodes, checkPack, checkSigns, checkUnpack, misfitError } from '../arguments.js';
import type { CodesRequest, SignsRequest, UnpackLayout } from '../kernels.js';
import { type Arena, bytesOf } from './arena.js';
import { BLOCK } from './elementwise.js';

export function accumulateCodes(arena: Arena, request: CodesRequest): void {
  checkCodes(request);
  const { codes, rowGains, rows, columns, out } = request;
  if (rows === 0 || columns === 0) return;
  const scale = Math.fround(request.scale);
  const width = codes.BYTES_PER_ELEMENT;
  const kernel = width === 2 ? arena.kernels.accumulateCodes16 : arena.kernels.accumulateCodes32;
  // Whole rows while they fit into a block, else pieces of one row.
  const blockColumns = Math.min(columns, BLOCK);
  const blockRows = columns <= BLOCK ? Math.floor(BLOCK / columns) : 1;
  const place = arena.addressOf(out);
  const [source, gains, target] = arena.layOut(
    BLOCK * width,
    blockRows * 2,
    place === undefined ? BLOCK * 4 : 0,
  );
  for (let row = 0; row < rows; row += blockRows) {
    const rowCount = Math.min(blockRows, rows - row);
    arena.int16.set(bytesAsInt16(rowGains.subarray(row, row + rowCount)), gains / 2);
    for (let column = 0; column < columns; column += blockColumns) {
      const columnCount = Math.min(blockColumns, columns - column);
      const start = row * columns + column;
      const count = rowCount * columnCount;
      arena.bytes.set(bytesOf(codes.subarray(start, start + count)), source);
      if (place !== undefined) {
        kernel(source, gains, rowCount, columnCount, scale, place + start * 4);
      } else {
        arena.float32.set(out.subarray(start, start + count), target / 4);
        kernel(source, gains, rowCount, columnCount, scale, target);
        out.set(arena.float32.subarray(target / 4, target / 4 + count), start);
      }
    }
  }
}

export function accumulateSigns(arena: Arena, request: SignsRequest): void {
  checkSigns(request);
  const { bytes, bitOffset = 0, out } = request;
  const scale = Math.fround(request.scale);
  const [source, target] = arena.layOut(BLOCK / 8 + 8, BLOCK * 4);
  const firstBit = bitOffset % 8;
  let byte = (bitOffset - firstBit) / 8;
  for (let start = 0; start < out.length; start += BLOCK) {
    const count = Math.min(BLOCK, out.length - start);
    arena.bytes.set(bytes.subarray(byte, byte + Math.ceil((firstBit + count) / 8)), source);
    arena.float32.set(out.subarray(start, start + count), target / 4);
    arena.kernels.accumulateSigns(source, firstBit, count, scale, target);
    out.set(arena.float32.subarray(target / 4, target / 4 + count), start);
    byte += BLOCK / 8;
  }
}

function bytesAsInt16(values: Uint16Array): Int16Array {
  return new Int16Array(values.buffer, values.byteOffset, values.length);
}

export function unpackCodes(
  arena: Arena,
  bytes: Uint8Array,
  bits: number,
  count: number,
  out: Int16Array,
  layout?: UnpackLayout,
): void {
  const { bitOffset, start, stride } = checkUnpack(bytes, bits, count, out, layout);
  const [source, target] = arena.layOut(BLOCK * 2 + 8, BLOCK * 2);
  const firstBit = bitOffset % 8;
  let byte = (bitOffset - firstBit) / 8;
  // A block is a multiple of 8 codes, so every block starts at the same bit of a byte.
  for (let first = 0; first < count; first += BLOCK) {
    const size = Math.min(BLOCK, count - first);
    arena.bytes.set(bytes.subarray(byte, byte + Math.ceil((firstBit + size * bits) / 8)), source);
    arena.kernels.unpackCodes(source, firstBit, size, bits, target);
    const codes = arena.int16.subarray(target / 2, target / 2 + size);
    if (stride === 1) {
      out.set(codes, start + first);
    } else {
      for (let i = 0, to = start + first * stride; i < size; i++, to += stride) out[to] = codes[i];
    }
    byte += (BLOCK * bits) / 8;
  }
}

export function packCodes(
  arena: Arena,
  codes: Int16Array,
  bits: number,
  out: Uint8Array,
  bitOffset = 0,
): void {
  checkPack(codes, bits, out, bitOffset);
  const [source, target] = arena.layOut(BLOCK * 2, BLOCK * 2 + 8);
  const firstBit = bitOffset % 8;
  let byte = (bitOffset - firstBit) / 8;
  let misfits = 0;
  for (let first = 0; first < codes.length; first += BLOCK) {
    const size = Math.min(BLOCK, codes.length - first);
    const byteLength = Math.ceil((firstBit + size * bits) / 8);
    arena.int16.set(codes.subarray(first, first + size), source / 2);
    arena.bytes[target] = out[byte];
    arena.bytes[target + byteLength - 1] = out[byte + byteLength - 1];
    misfits += arena.kernels.packCodes(source, size, bits, target, firstBit);
    out.set(arena.bytes.subarray(target, target + byteLength), byte);
    byte += (BLOCK * bits) / 8;
  }
  if (misfits > 0) throw misfitError(bits);
}

/** Integer codes: dense accumulation, and the LSB-first bit stream. */
import { checkCodes, checkPack, checkSigns, checkUnpack, misfitError } from '../arguments.js';
import type { CodesRequest, SignsRequest, UnpackLayout } from '../kernels.js';

export function accumulateCodes(request: CodesRequest): void {
  checkCodes(request);
  const { codes, rowGains, rows, columns, out } = request;
  const scale = Math.fround(request.scale);
  for (let row = 0, i = 0; row < rows; row++) {
    for (const end = (row + 1) * columns; i < end; i++) {
      out[i] += Math.fround(scale * Math.fround(Math.imul(rowGains[row], codes[i])));
    }
  }
}

export function accumulateSigns(request: SignsRequest): void {
  checkSigns(request);
  const { bytes, bitOffset = 0, out } = request;
  const scale = Math.fround(request.scale);
  for (let i = 0, bit = bitOffset; i < out.length; i++, bit++) {
    out[i] += (bytes[Math.floor(bit / 8)] >> (bit % 8)) & 1 ? -scale : scale;
  }
}

export function unpackCodes(
  bytes: Uint8Array,
  bits: number,
  count: number,
  out: Int16Array,
  layout?: UnpackLayout,
): void {
  const { bitOffset, start, stride } = checkUnpack(bytes, bits, count, out, layout);
  const up = 32 - bits;
  let byte = Math.floor(bitOffset / 8);
  let bit = bitOffset % 8;
  for (let i = 0, to = start; i < count; i++, to += stride) {
    // Past the end a byte reads as undefined, which shifts to 0.
    const word = bytes[byte] | (bytes[byte + 1] << 8) | (bytes[byte + 2] << 16);
    out[to] = ((word >>> bit) << up) >> up;
    bit += bits;
    byte += bit >>> 3;
    bit &= 7;
  }
}

export function packCodes(codes: Int16Array, bits: number, out: Uint8Array, bitOffset = 0): void {
  checkPack(codes, bits, out, bitOffset);
  const up = 32 - bits;
  const mask = 2 ** bits - 1;
  let byte = Math.floor(bitOffset / 8);
  let bit = bitOffset % 8;
  for (const code of codes) {
    if ((code << up) >> up !== code) throw misfitError(bits);
    const hole = mask << bit;
    const word = (code & mask) << bit;
    for (let i = 0; i * 8 < bit + bits; i++) {
      out[byte + i] = (out[byte + i] & ~(hole >>> (8 * i))) | (word >>> (8 * i));
    }
    bit += bits;
    byte += bit >>> 3;
    bit &= 7;
  }
}

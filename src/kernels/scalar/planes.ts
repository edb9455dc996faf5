/** Byte planes and wrapping word sums, as the contract writes them. */
import { checkWords } from '../arguments.js';

export function joinPlanes(planes: Uint8Array, width: number, out: Uint8Array): void {
  const words = checkWords(width, planes.byteLength, out.byteLength);
  for (let p = 0; p < width; p++) {
    for (let i = 0; i < words; i++) out[i * width + p] = planes[p * words + i];
  }
}

export function splitPlanes(bytes: Uint8Array, width: number, out: Uint8Array): void {
  const words = checkWords(width, bytes.byteLength, out.byteLength);
  for (let p = 0; p < width; p++) {
    for (let i = 0; i < words; i++) out[p * words + i] = bytes[i * width + p];
  }
}

export function combineWords(
  x: Uint8Array,
  y: Uint8Array,
  sign: 1 | -1,
  width: number,
  out: Uint8Array,
): void {
  checkWords(width, x.byteLength, y.byteLength, out.byteLength);
  for (let start = 0; start < x.byteLength; start += width) {
    let carry = 0;
    for (let p = 0; p < width; p++) {
      const sum = x[start + p] + sign * y[start + p] + carry;
      out[start + p] = sum & 255;
      carry = sum >> 8; // −1, 0 or 1
    }
  }
}

/** Phrases about versions and what they lost, the same on a terminal and on a page. */
import { formatByteLength, formatRelativeError, formatShare } from './numbers.js';

/** Digits that tell the versions of most stores apart; a ref takes any number from 6. */
const SHORT_DIGITS = 8;

/** '3f2a91c4' of 'sha256:3f2a91c4…'. */
export function shortId(id: string, digits = SHORT_DIGITS): string {
  return id.slice(id.indexOf(':') + 1).slice(0, digits);
}

/** How many digits tell all of these apart: at least the usual number. */
export function distinctDigits(ids: readonly string[]): number {
  const sorted = [...new Set(ids)].map((id) => shortId(id, 64)).sort();
  let digits = SHORT_DIGITS;
  for (let i = 1; i < sorted.length; i++) {
    const [before, after] = [sorted[i - 1]!, sorted[i]!];
    while (digits < 64 && before.slice(0, digits) === after.slice(0, digits)) digits += 1;
  }
  return digits;
}

/** '2026-11-22 02:10' of '2026-11-22T02:10:33.104Z', in UTC as it stands. */
export function timeText(createdAt: string): string {
  return createdAt.slice(0, 16).replace('T', ' ');
}

/** '284 kB, 2.9 % of 9.91 MB'. */
export function addedText(addedByteLength: number, fineTunedByteLength: number): string {
  const share = fineTunedByteLength === 0 ? '' : `, ${formatShare(addedByteLength / fineTunedByteLength)} of`;
  return share === ''
    ? formatByteLength(addedByteLength)
    : `${formatByteLength(addedByteLength)}${share} ${formatByteLength(fineTunedByteLength)}`;
}

/** 'relative error 0.612, kept energy 62.5 %', or that nothing was lost. Energy: 1 − error². */
export function lossText(relativeError: number, isEstimated = false): string {
  if (relativeError === 0) return 'bit-exact';
  const mark = isEstimated ? ' (estimated)' : '';
  return `relative error ${formatRelativeError(relativeError)}${mark}, kept energy ${formatShare(Math.max(0, 1 - relativeError ** 2))}`;
}

/** 'exact' for nought, else to three significant digits. */
export function errorText(relativeError: number): string {
  return relativeError === 0 ? 'exact' : formatRelativeError(relativeError);
}

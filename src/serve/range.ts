/** The Range header (RFC 9110 §14) as far as files are served by it: one range of bytes. */

/** Bytes [start, end) of a file; `isWhole` where no part was asked for. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
  readonly isWhole: boolean;
}

const RANGE = /^bytes=(?:(\d{1,15})-(\d{1,15})?|-(\d{1,15}))$/i;

/**
 * @returns undefined for what is refused: a range behind the end, one that is malformed, or several, of which a server
 * need give none (§14.2)
 */
export function parseRange(header: string | undefined, byteLength: number): ByteRange | undefined {
  // What is no range of bytes is none at all (§14.2).
  if (header === undefined || !/^\s*bytes\s*=/i.test(header))
    return { start: 0, end: byteLength, isWhole: true };
  const match = RANGE.exec(header.replaceAll(' ', ''));
  if (match === null) return undefined;
  const [, first, last, suffix] = match;
  if (suffix !== undefined) {
    const length = Math.min(Number(suffix), byteLength);
    return length === 0 ? undefined : { start: byteLength - length, end: byteLength, isWhole: false };
  }
  const start = Number(first);
  const end = last === undefined ? byteLength : Math.min(Number(last) + 1, byteLength);
  return start < end ? { start, end, isWhole: false } : undefined;
}

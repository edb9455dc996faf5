/** Counts elements with equal bits, without a branch an element: a mispredicted one costs more than all else. */

/**
 * Elements that have the same bits in both. Elements of 6 bits share bytes in an order that differs
 * between formats, so they count in groups of four (three bytes).
 * @param x, y bytes of as many elements, whole bytes; @param bits of one element: 4, 6, 8, 16, 32 or 64
 * @throws RangeError for other widths, and for lengths that differ.
 */
export function countEqualElements(x: Uint8Array, y: Uint8Array, bits: number): number {
  if (x.byteLength !== y.byteLength) {
    throw new RangeError(`expected ${x.byteLength} bytes on both sides, got ${y.byteLength}`);
  }
  switch (bits) {
    case 4:
      return countNibbles(x, y);
    case 6:
      return 4 * countGroups(x, y, 3);
    case 8:
      return countGroups(x, y, 1);
    case 16:
      return count16(x, y);
    case 32:
      return countWords(words(x), words(y), 1);
    case 64:
      return countWords(words(x), words(y), 2);
    default:
      throw new RangeError(`expected elements of 4, 6, 8, 16, 32 or 64 bits, got ${bits}`);
  }
}

/** 1 for 0, else 0. @param difference any 32-bit integer */
function isZero(difference: number): number {
  return Math.clz32(difference) >>> 5;
}

function countNibbles(x: Uint8Array, y: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < x.length; i++) {
    const difference = x[i]! ^ y[i]!;
    count += isZero(difference & 15) + isZero(difference >>> 4);
  }
  return count;
}

/** Groups of `size` bytes that are equal. */
function countGroups(x: Uint8Array, y: Uint8Array, size: number): number {
  let count = 0;
  for (let start = 0; start < x.length; start += size) {
    let difference = 0;
    for (let i = start; i < start + size; i++) difference |= x[i]! ^ y[i]!;
    count += isZero(difference);
  }
  return count;
}

/** Two elements a word; a last odd one by its bytes. */
function count16(x: Uint8Array, y: Uint8Array): number {
  const paired = x.byteLength & ~3;
  const [xWords, yWords] = [words(x.subarray(0, paired)), words(y.subarray(0, paired))];
  let count = 0;
  for (let i = 0; i < xWords.length; i++) {
    const difference = xWords[i]! ^ yWords[i]!;
    count += isZero(difference & 0xffff) + isZero(difference >>> 16);
  }
  return count + countGroups(x.subarray(paired), y.subarray(paired), 2);
}

/** Elements of one or two words. */
function countWords(x: Uint32Array, y: Uint32Array, wordsPerElement: 1 | 2): number {
  let count = 0;
  for (let i = 0; i < x.length; i += wordsPerElement) {
    count += isZero((x[i]! ^ y[i]!) | (x[i + wordsPerElement - 1]! ^ y[i + wordsPerElement - 1]!));
  }
  return count;
}

/** The same bytes as words; a copy where they do not start on a word. */
function words(bytes: Uint8Array): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}

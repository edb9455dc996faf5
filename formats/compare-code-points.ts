/**
 * Order of strings by Unicode code point, which is also the byte order of their UTF-8 form.
 * JavaScript's own `<` compares UTF-16 code units and differs above U+FFFF, so it cannot be specified
 * for other languages.
 */
export function compareCodePoints(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i++) {
    const a = left.charCodeAt(i);
    const b = right.charCodeAt(i);
    if (a !== b) {
      // A surrogate stands for a code point above all of the basic plane.
      const aHigh = isSurrogate(a);
      return aHigh === isSurrogate(b) ? a - b : aHigh ? 1 : -1;
    }
  }
  return left.length - right.length;
}

function isSurrogate(codeUnit: number): boolean {
  return codeUnit >= 0xd800 && codeUnit <= 0xdfff;
}

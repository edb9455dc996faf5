/** Words of 2, 4 or 8 bytes: byte planes, and wrapping sums. Loops run over the end by less than 64 bytes. */

/** target = words whose byte p is planes[p · words + i]. */
export function joinPlanes(planes: usize, words: i32, width: i32, target: usize): void {
  const plane = <usize>words;
  const end = planes + plane;
  if (width == 2) {
    while (planes < end) {
      const b0 = v128.load(planes), b1 = v128.load(planes + plane);
      v128.store(target, v128.shuffle<i8>(b0, b1, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
      v128.store(target, v128.shuffle<i8>(b0, b1, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), 16);
      planes += 16;
      target += 32;
    }
    return;
  }
  for (let i: usize = 0; i < plane; i++) {
    for (let p: usize = 0; p < <usize>width; p++) store<u8>(target + p, load<u8>(planes + p * plane + i));
    target += width;
  }
}

/** The way back. */
export function splitPlanes(source: usize, words: i32, width: i32, planes: usize): void {
  const plane = <usize>words;
  const end = planes + plane;
  if (width == 2) {
    // In ascending order: what the first plane's end writes over its border, the second plane writes again.
    const low = planes;
    let from = source;
    while (planes < end) {
      const x = v128.load(from), y = v128.load(from, 16);
      v128.store(planes, v128.shuffle<i8>(x, y, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30));
      planes += 16;
      from += 32;
    }
    planes = low + plane;
    from = source;
    const stop = planes + plane;
    while (planes < stop) {
      const x = v128.load(from), y = v128.load(from, 16);
      v128.store(planes, v128.shuffle<i8>(x, y, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31));
      planes += 16;
      from += 32;
    }
    return;
  }
  for (let i: usize = 0; i < plane; i++) {
    for (let p: usize = 0; p < <usize>width; p++) store<u8>(planes + p * plane + i, load<u8>(source + p));
    source += width;
  }
}

// @ts-ignore: decorator
@inline
function combine(width: i32, isSum: bool, x: usize, y: usize, byteLength: i32, target: usize): void {
  const end = x + <usize>byteLength;
  while (x < end) {
    const a = v128.load(x), b = v128.load(y);
    if (width == 1) v128.store(target, isSum ? i8x16.add(a, b) : i8x16.sub(a, b));
    else if (width == 2) v128.store(target, isSum ? i16x8.add(a, b) : i16x8.sub(a, b));
    else if (width == 4) v128.store(target, isSum ? i32x4.add(a, b) : i32x4.sub(a, b));
    else v128.store(target, isSum ? i64x2.add(a, b) : i64x2.sub(a, b));
    x += 16;
    y += 16;
    target += 16;
  }
}

/** target = x + y on words of `width` bytes, wrapping. */
export function addWords(width: i32, x: usize, y: usize, byteLength: i32, target: usize): void {
  switch (width) {
    case 1: combine(1, true, x, y, byteLength, target); return;
    case 2: combine(2, true, x, y, byteLength, target); return;
    case 4: combine(4, true, x, y, byteLength, target); return;
    default: combine(8, true, x, y, byteLength, target);
  }
}

/** target = x − y. */
export function subtractWords(width: i32, x: usize, y: usize, byteLength: i32, target: usize): void {
  switch (width) {
    case 1: combine(1, false, x, y, byteLength, target); return;
    case 2: combine(2, false, x, y, byteLength, target); return;
    case 4: combine(4, false, x, y, byteLength, target); return;
    default: combine(8, false, x, y, byteLength, target);
  }
}

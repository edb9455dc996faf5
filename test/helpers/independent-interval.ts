/**
 * Codec "interval" once more, written from docs/spec/range-coder.md and interval.md alone: contexts by name, the range
 * coder in BigInt, a sentence of the document at a time.
 */

type Params = Readonly<Record<string, unknown>>;

/** range-coder.md. */
class Payload {
  readonly #bytes: Uint8Array;
  #range = 2n ** 48n;
  #code = 0n;
  #next = 6;
  #rawBit = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    for (let i = 0; i < 6; i++) this.#code = this.#code * 256n + this.#byte(i);
  }

  #byte(i: number): bigint {
    return BigInt(this.#bytes[i] ?? 0);
  }

  bit(context: { a: number; b: number; n: number }): number {
    const p = BigInt(Math.floor((context.a + Math.floor(context.b / 65_536)) / 4));
    const bound = (this.#range / 32_768n) * p;
    const bit = this.#code < bound ? 0 : 1;
    if (bit === 0) {
      this.#range = bound;
    } else {
      this.#code -= bound;
      this.#range -= bound;
    }
    if (this.#range < 2n ** 32n) {
      this.#range *= 65_536n;
      this.#code = this.#code * 65_536n + this.#byte(this.#next) * 256n + this.#byte(this.#next + 1);
      this.#next += 2;
    }
    let [fast, slow] = [7, 10];
    if (context.n < 1023) {
      const digits = Math.floor((2 * context.n + 4) / 3).toString(2).length;
      fast = Math.min(fast, digits);
      slow = Math.min(slow, digits);
      context.n++;
    }
    if (bit === 0) {
      context.a += Math.floor((65_487 - context.a) / 2 ** fast);
      context.b += Math.floor((4_291_821_567 - context.b) / 2 ** slow);
    } else {
      context.a -= Math.floor((context.a - 48) / 2 ** fast);
      context.b -= Math.floor((context.b - 3_145_728) / 2 ** slow);
    }
    return bit;
  }

  raw(bits: number): number {
    let value = 0;
    for (let i = 0; i < bits; i++, this.#rawBit++) {
      const byte = this.#bytes[this.#bytes.length - 1 - Math.floor(this.#rawBit / 8)] ?? 0;
      value += (Math.floor(byte / 2 ** (this.#rawBit % 8)) % 2) * 2 ** i;
    }
    return value;
  }
}

const NUMBERS: Record<string, readonly [number, number, number]> = {
  F64: [11, 20, 1023],
  F32: [8, 23, 127],
  C64: [8, 23, 127],
  F16: [5, 10, 15],
  BF16: [8, 7, 127],
  F8_E4M3: [4, 3, 7],
  F8_E5M2: [5, 2, 15],
};

const int32 = (x: number) => x | 0;
const e8 = (x: number) => {
  let k = 0;
  while (2 ** (k + 1) <= x) k++;
  return 8 * k + Math.floor(8 * (x / 2 ** k - 1));
};

/** What is predicted of a term's rows: elements, and the float32 of each where rule 3 of codecs.md §1 gives it. */
export interface PredictedElements {
  readonly bytes: Uint8Array;
  readonly values: readonly (number | undefined)[];
}

/**
 * The bytes of a term of `rows` rows of `rowByteLength` bytes.
 * @param lengths elements of each row, where they differ as in codec interval-small, whose chunks count such rows
 */
export function intervalBytes(
  params: Params,
  payload: (i: number) => Uint8Array | undefined,
  dtype: string,
  elementByteLength: number,
  rows: number,
  rowByteLength: number,
  predicted: PredictedElements,
  lengths?: readonly number[],
): Buffer {
  const { unit, skip, means, drop, chunkRows } = params as Record<string, number>;
  const predict = params.predict as string;
  const numbers = NUMBERS[dtype];
  const isFloat = numbers !== undefined;
  const width = dtype === 'C64' ? 4 : elementByteLength;
  const [E, M, bias] = isFloat ? [numbers[0], numbers[1] - drop, numbers[2]] : [0, 0, 0];
  const isF64 = dtype === 'F64';
  const [wideM, wideBias] = isF64 ? [20, 1023] : [23, 127];

  const source = predict === 'none' ? new Uint8Array(rows * rowByteLength) : predicted.bytes;
  const out = Buffer.alloc(rows * rowByteLength);
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  const float = new DataView(new ArrayBuffer(8));

  const unsigned = (from: DataView, i: number) =>
    width === 1 ? from.getUint8(i) : width === 2 ? from.getUint16(2 * i, true) : from.getUint32(4 * i, true);
  const predictedElement = (i: number): bigint => {
    if (width === 8) return view.getBigUint64(8 * i, true);
    const x = unsigned(view, i);
    if (drop === 0) return BigInt(x);
    const sum = (x + 2 ** (drop - 1) - 1 + (Math.floor(x / 2 ** drop) % 2)) % 2 ** 32;
    return BigInt(Math.floor(sum / 2 ** drop) * 2 ** drop);
  };
  const patternOf = (element: bigint): number =>
    isF64 ? Number(element >> 32n) : Number(element / 2n ** BigInt(drop));
  const magnitudeOf = (pattern: number) => pattern % 2 ** (E + M);
  const isNegative = (pattern: number) => pattern >= 2 ** (E + M);
  const fieldOf = (pattern: number) => Math.floor(magnitudeOf(pattern) / 2 ** M);
  const numberOf = (pattern: number): number => {
    if (isF64) {
      float.setUint32(0, pattern);
      float.setUint32(4, 0);
      return float.getFloat64(0);
    }
    const field = fieldOf(pattern);
    const significand = (magnitudeOf(pattern) % 2 ** M) + (field > 0 ? 2 ** M : 0);
    return (isNegative(pattern) ? -1 : 1) * significand * 2 ** (Math.max(field, 1) - bias - M);
  };
  /** float32 pattern of a pattern's value; NaN patterns of F32 and BF16 keep their bits. */
  const float32Pattern = (pattern: number): number => {
    if (E === 8) return pattern * 2 ** (23 - M);
    const isSpecial = dtype === 'F8_E4M3' ? magnitudeOf(pattern) === 0x7f : fieldOf(pattern) === 2 ** E - 1;
    float.setFloat32(0, numberOf(pattern));
    if (!isSpecial) return float.getUint32(0);
    const sign = isNegative(pattern) ? 2 ** 31 : 0;
    const mantissa = dtype === 'F8_E4M3' ? 2 ** 22 : (magnitudeOf(pattern) % 2 ** M) * 2 ** (23 - M);
    return sign + 0x7f800000 + mantissa;
  };
  const widePattern = (i: number): number => {
    const value = predict === 'reconstruction' && width < 4 ? predicted.values[i] : undefined;
    if (value !== undefined) {
      float.setFloat32(0, value);
      return Number.isNaN(value) ? 0x7fc00000 : float.getUint32(0);
    }
    if (width === 4 && isFloat) return unsigned(view, i);
    const q = patternOf(predictedElement(i));
    return isF64 ? q : float32Pattern(q);
  };
  const float32Value = (pattern: number) => {
    float.setUint32(0, pattern);
    return float.getFloat32(0);
  };
  const rank = (pattern: number) => (isNegative(pattern) ? ~magnitudeOf(pattern) : magnitudeOf(pattern));
  const ofRank = (r: number) => {
    const lowest = (r < 0 ? ~r : r) % 2 ** (E + M);
    return r < 0 ? lowest + 2 ** (E + M) : lowest;
  };
  const bucket = (magnitude: number, m: number, b: number, g: number) => {
    const field = Math.floor(magnitude / 2 ** m);
    const significand = (magnitude % 2 ** m) + (field > 0 ? 2 ** m : 0);
    const h = g - Math.max(field, 1) + b + m;
    return -h > 29 - m ? 2 ** 30 : Math.floor(significand / 2 ** h);
  };

  const contexts = new Map<string, { a: number; b: number; n: number }>();
  let coder = new Payload(new Uint8Array(0));
  const bit = (name: string, i: number): number => {
    const key = `${name} ${i}`;
    if (!contexts.has(key)) contexts.set(key, { a: 2 ** 15, b: 2 ** 31, n: 0 });
    return coder.bit(contexts.get(key)!);
  };
  const signed = (ratio: number, f: number): number => {
    const s = bit('sign', 8 * ratio + f);
    let c = 0;
    while (c < 31 && bit('class', 32 * ratio + c) === 1) c++;
    let m = 1;
    const k = 32 * ratio + 4 * Math.min(c, 7);
    if (c > 0) m = 2 + bit('mantissa', k);
    if (c > 1) m = 2 * m + bit('mantissa', k + m - 1);
    if (c > 2) m = 2 ** (c - 2) * m + coder.raw(c - 2);
    return int32(s === 1 ? -m : m);
  };

  const columnsOf = rowByteLength / width;
  const mean = new Array<number>(65_536).fill(4096);
  const strips = new Array<number>(256).fill(1);
  let scale = 0;
  let lastRow = 1;
  let rowNumber = 0;
  let lastLow = 0;

  const put = (i: number, element: bigint) => {
    for (let b = 0; b < width; b++) out[i * width + b] = Number((element >> BigInt(8 * b)) % 256n);
  };
  const ratioOf = (spread: number, ulp: number) =>
    Math.min(39, Math.max(0, spread - 8 * Math.max(ulp, spread >> 3) + 32));
  const ulpOf = (q: number) => (isFloat ? Math.max(fieldOf(q), 1) - bias - M - unit : -unit);

  const coarse = (q: number, w: number, ratio: number, differs: boolean): number => {
    let d = int32(w - (isF64 ? w : float32Pattern(q)));
    if (w >= 2 ** 31) d = int32(-d);
    const flip = d < 0;
    const f = d === 0 ? 0 : Math.abs(d) < 2 ** Math.max(0, wideM - M - 2) ? 1 : 2;
    if (!differs && bit('zero', 8 * ratio + f) === 0) return q;
    const r = signed(ratio, f);
    return ofRank(int32(rank(q) + (flip ? -r : r)));
  };
  const fine = (w: number, ratio: number, g: number): number => {
    let u = bucket(w % 2 ** 31, wideM, wideBias, g - 2);
    let o = u % 4;
    u = Math.floor(u / 4);
    if (w >= 2 ** 31) {
      u = ~u;
      o = 3 - o;
    }
    const flip = o < 2;
    const f = o === 0 || o === 3 ? 4 : 3;
    let t = 0;
    if (bit('zero', 8 * ratio + f) === 1) {
      const r = signed(ratio, f);
      if (r === -(2 ** 31)) return coder.raw(1 + E + M);
      t = flip ? -r : r;
    }
    u = int32(u + t);
    const side = t > 0 !== u < 0 ? 1 : 0;
    const i = u < 0 ? ~u : u;
    let magnitude = 0;
    if (i > 0) {
      const k = i.toString(2).length - 1;
      const field = k + g + bias;
      let n = g - 1 + bias + M;
      if (field >= 1) {
        n = M - k;
        magnitude = field * 2 ** M + (Math.floor(i * 2 ** n) % 2 ** M);
      } else {
        magnitude = i * 2 ** n;
      }
      if (n > 0) {
        magnitude += 2 ** (n - 1) * bit('offset', 2 * ratio + side);
        magnitude += coder.raw(n - 1);
      }
    } else if (bit('nonzero', u < 0 ? 1 : 0) === 1) {
      const top = g + bias;
      if (top <= 1) {
        magnitude = coder.raw(top - 1 + M);
      } else {
        let down = 0;
        while (down < Math.min(12, top - 1) && bit('exponent', down) === 1) down++;
        const field = down === 12 ? coder.raw(E) : top - 1 - down;
        magnitude = field * 2 ** M + coder.raw(M);
      }
    }
    return (u < 0 ? 2 ** (E + M) : 0) + (magnitude % 2 ** (E + M));
  };
  const codeElement = (i: number, spread: number, differs: boolean) => {
    const expected = predictedElement(i);
    const octave = spread >> 3;
    if (isFloat) {
      const q = patternOf(expected);
      const ratio = ratioOf(spread, ulpOf(q));
      const w = widePattern(i);
      const pattern =
        ulpOf(q) >= octave ? coarse(q, w, ratio, differs && !isF64) : fine(w, ratio, octave + unit);
      if (!isF64) {
        put(i, BigInt(pattern) * 2n ** BigInt(drop));
        return;
      }
      const context = 4 * lastLow + 2 * (pattern === q ? 1 : 0);
      lastLow = bit('low', context);
      let low = Number(expected % 2n ** 32n);
      if (lastLow === 1) low = bit('low', context + 1) === 0 ? 2 ** 29 * coder.raw(3) : coder.raw(32);
      put(i, BigInt(pattern) * 2n ** 32n + BigInt(low));
      return;
    }
    const modulus = 2n ** BigInt(8 * width);
    if (width === 8 && bit('wide', 0) === 1) {
      const difference = BigInt(coder.raw(32)) + 2n ** 32n * BigInt(coder.raw(32));
      put(i, (expected + difference) % modulus);
      return;
    }
    const g = Math.max(0, Math.min(31, octave + unit));
    const ratio = ratioOf(spread, -unit);
    let d = 0;
    if ((g === 0 && differs) || bit('zero', 8 * ratio) === 1) d = signed(ratio, 0);
    if (g > 0) d = int32(Number((BigInt(d) * 2n ** BigInt(g)) | BigInt(coder.raw(g))) - 2 ** (g - 1));
    put(i, (((expected + BigInt(d)) % modulus) + modulus) % modulus);
  };
  const differenceOf = (i: number): number => {
    const element = out
      .subarray(i * width, (i + 1) * width)
      .reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n);
    if (!isFloat) return Number(BigInt.asIntN(8 * width, element - predictedElement(i)));
    const w = widePattern(i);
    return numberOf(patternOf(element)) - (isF64 ? numberOf(w) : float32Value(w));
  };

  let coded = 0;
  const codeRow = (start: number, columns: number) => {
    const copy = (from: number, count: number) => {
      for (let i = from; i < from + count; i++) put(i, predictedElement(i));
    };
    if (skip > 0) {
      lastRow = bit('row', lastRow);
      if (lastRow === 0) {
        copy(start, columns);
        return;
      }
    }
    if (bit('scale', 0) === 1) {
      const negative = bit('scale', 1) === 1;
      let t = 0;
      while (t < 16 && bit('scale', 2 + t) === 1) t++;
      if (t === 16) t += coder.raw(10);
      scale = Math.max(-24, Math.min(511, scale + (negative ? -t - 1 : t + 1)));
    }
    const rate = [16, 40, 100, 300].filter((limit) => rowNumber >= limit).length + 4;
    rowNumber++;
    let [lastStrip, lastBlock, blockEnd, seen] = [1, 1, 0, false];
    for (let j = 0; j < columns; j++) {
      const i = start + j;
      if (skip > 0 && j % 256 === 0) {
        lastStrip = bit('strip', 2 * lastStrip + strips[j / 256]);
        strips[j / 256] = lastStrip;
        if (lastStrip === 0) {
          const count = Math.min(256, columns - j);
          copy(i, count);
          j += count - 1;
          continue;
        }
      }
      if (skip === 2 && j % 16 === 0) {
        const count = Math.min(16, columns - j);
        let ulp = -unit;
        if (isFloat) {
          const magnitudes = Array.from({ length: count }, (_, k) =>
            magnitudeOf(patternOf(predictedElement(i + k))),
          );
          ulp = ulpOf(Math.min(...magnitudes));
        }
        lastBlock = bit('block', 2 * ratioOf(2 * scale, ulp) + lastBlock);
        if (lastBlock === 0) {
          copy(i, count);
          j += count - 1;
          continue;
        }
        blockEnd = j + count;
        seen = false;
      }
      const spread = 2 * scale + e8(mean[j]) - 96;
      const inBlock = j < blockEnd;
      let isPredicted = false;
      if (inBlock && (seen || j !== blockEnd - 1)) {
        const c = seen ? 0 : [6, 10, 13, 14].filter((limit) => j % 16 >= limit).length + 1;
        isPredicted = bit('same', 40 * c + ratioOf(spread, ulpOf(patternOf(predictedElement(i))))) === 0;
      }
      if (isPredicted) {
        copy(i, 1);
      } else {
        seen = true;
        codeElement(i, spread, inBlock);
      }
      if (!means) continue;
      const gain = 2 ** (-unit - Math.floor(scale / 4)) * [4096, 3444, 2896, 2435][((scale % 4) + 4) % 4];
      const product = Math.abs(differenceOf(i)) * gain;
      const x = product < 65_536 ? Math.floor(product) : 65_536;
      mean[j] = Math.max(128, mean[j] + ((x - mean[j]) >> rate));
    }
  };
  let start = 0;
  for (const [row, length] of (lengths ?? new Array<number>(rows).fill(columnsOf)).entries()) {
    if (lengths !== undefined && row % chunkRows === 0) coder = new Payload(payload(row / chunkRows)!);
    for (let column = 0; column < length; column += 65_536, coded++) {
      if (lengths === undefined && coded % chunkRows === 0) coder = new Payload(payload(coded / chunkRows)!);
      codeRow(start + column, Math.min(65_536, length - column));
    }
    start += length;
  }
  return out;
}

/** codecs.md §9: the float32 patterns of the small elements, row after row, and whether each is as predicted. */
export function smallElements(
  params: Params,
  payload: (i: number) => Uint8Array | undefined,
  rows: readonly (readonly number[])[],
): { readonly value: number; readonly isPredicted: boolean }[][] {
  const { chunkRows, unit, drop } = params as Record<string, number>;
  const x = rows.flat();
  const predicted = Buffer.alloc(4 * x.length);
  for (const [i, value] of x.entries()) predicted.writeFloatLE(value, 4 * i);
  const coded = intervalBytes(
    { predict: 'reconstruction', chunkRows, unit, drop, skip: 0, means: false },
    payload,
    'F32',
    4,
    1,
    4 * x.length,
    { bytes: predicted, values: [] },
    rows.map(({ length }) => length),
  );
  let next = 0;
  return rows.map((row) =>
    row.map(() => {
      const i = next++;
      const pattern = predicted.readUInt32LE(4 * i);
      const half = drop === 0 ? 0 : 2 ** (drop - 1) - 1 + (Math.floor(pattern / 2 ** drop) % 2);
      const q = Math.floor(((pattern + half) % 2 ** 32) / 2 ** drop) * 2 ** drop;
      return { value: coded.readFloatLE(4 * i), isPredicted: coded.readUInt32LE(4 * i) === q };
    }),
  );
}

/**
 * A second decoder of the matrix coder, written from docs/spec/matrix-coder.md and the range coder's section
 * of docs/spec/codecs.md alone: plain numbers, no shared code, one function a section.
 */

const MORE_START = [
  `238 184 160 120 95 90 · 246 203 150 119 95 100 · 245 230 163 122 108 105 · 232 236 215 167 123 118 ·
   202 217 217 198 147 100 · 164 187 195 195 190 165 · 123 144 157 166 166 162 · 91 105 116 127 134 143 ·
   65 73 82 92 99 106 · 80 97 111 123 131 140 · 57 67 76 84 92 102`,
  `238 184 160 120 95 90 · 246 222 165 140 100 100 · 233 236 195 150 115 105 · 206 231 224 165 135 110 ·
   170 214 222 204 175 141 · 124 176 198 201 188 157 · 90 132 153 165 165 160 · 70 97 110 123 133 137 ·
   48 66 80 87 96 103 · 77 96 111 121 132 141 · 56 66 77 84 92 102`,
].map((text) => text.split('·').map((row) => row.trim().split(/\s+/).map(Number)));

const ZERO_START = [
  `1020 1020 1019 1018 1016 1013 1010 1005 998 991 980 970 952 925 892 819 750 634 514 400 287 213 159 114 85
   55 41 29 20 13 10 6 5 3 3 2 2 2 2 2 2 2 2 2 2 2 2 2`,
  `1020 1020 1019 1018 1016 1012 1008 1005 1002 996 986 965 915 850 730 590 440 320 225 175 142 107 71 45 28
   15 10 7 6 5 4 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2`,
].map((text) => text.split(/\s+/).map(Number));

const BLOCK_START = [252, 252, 251, 251, 250, 249, 247, 245, 242, 238, 234, 228];

const TRELLIS: Record<number, { next: number[][]; q1: number[] }> = {
  1: { next: [[0, 0]], q1: [] },
  4: {
    next: [
      [0, 2],
      [2, 0],
      [1, 3],
      [3, 1],
    ],
    q1: [2, 3],
  },
  8: {
    next: [
      [0, 1],
      [3, 2],
      [5, 4],
      [6, 7],
      [1, 0],
      [2, 3],
      [4, 5],
      [7, 6],
    ],
    q1: [1, 3, 5, 7],
  },
};

/** A context: estimates of a 0 in 16 and 32 bits, and the decisions seen. */
interface Context {
  fast: number;
  slow: number;
  count: number;
}

function context(probability: number): Context {
  return { fast: probability * 65_536, slow: probability * 2 ** 32, count: 8 };
}

/** The range coder's decoder over one chunk. */
class Bits {
  readonly #bytes: Uint8Array;
  #front = 0;
  #rawBit = 0;
  #code = 0;
  #range = 2 ** 48;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    for (let i = 0; i < 6; i++) this.#code = this.#code * 256 + this.#byte();
  }

  #byte(): number {
    return this.#bytes[this.#front++] ?? 0;
  }

  decide(c: Context): number {
    const zero = Math.floor((c.fast + Math.floor(c.slow / 65_536)) / 4);
    const bound = Math.floor(this.#range / 32_768) * zero;
    const bit = this.#code < bound ? 0 : 1;
    if (bit === 0) this.#range = bound;
    else {
      this.#code -= bound;
      this.#range -= bound;
    }
    if (this.#range < 2 ** 32) {
      this.#range *= 65_536;
      this.#code = this.#code * 65_536 + this.#byte() * 256;
      this.#code += this.#byte();
    }
    let [fast, slow] = [6, 8];
    if (c.count < 1023) {
      const young = Math.floor(Math.log2(Math.floor((2 * c.count + 4) / 3))) + 1;
      [fast, slow] = [Math.min(fast, young), Math.min(slow, young)];
      c.count++;
    }
    if (bit === 0) {
      c.fast += Math.floor((65_535 - 48 - c.fast) / 2 ** fast);
      c.slow += Math.floor((2 ** 32 - 1 - 48 * 65_536 - c.slow) / 2 ** slow);
    } else {
      c.fast -= Math.floor((c.fast - 48) / 2 ** fast);
      c.slow -= Math.floor((c.slow - 48 * 65_536) / 2 ** slow);
    }
    return bit;
  }

  raw(bits: number): number {
    let value = 0;
    for (let i = 0; i < bits; i++, this.#rawBit++) {
      const byte = this.#bytes[this.#bytes.length - 1 - (this.#rawBit >> 3)] ?? 0;
      value += ((byte >> (this.#rawBit & 7)) & 1) * 2 ** i;
    }
    return value;
  }
}

/** The codes of a matrix whose chunks have these rows. @param firstOf first column of a row of the matrix */
export function plainDecode(
  columns: number,
  states: 1 | 4 | 8,
  chunks: readonly { bytes: Uint8Array; rows: number }[],
  firstOf: (row: number) => number = () => 0,
): number[] {
  const { next, q1 } = TRELLIS[states];
  const zero = ZERO_START.map((starts) => starts.map((p) => context(p / 1024)));
  const more = MORE_START.map((rows) =>
    Array.from({ length: 26 }, (_, row) =>
      Array.from({ length: 14 }, (_, u) => context(rows[Math.max(0, row - 15)][Math.min(u, 5)] / 256)),
    ),
  );
  const block = BLOCK_START.map((p) => context(p / 256));
  const first = Array.from({ length: 15 }, (_, i) =>
    context(Math.floor((65_536 * (15 - i)) / (16 - i)) / 65_536),
  );
  const escapes = Array.from({ length: 14 }, (_, t) => context([110, 170, 210, 230][Math.min(t, 3)] / 256));
  const [rowZero, rowMoves, rowDown] = [247, 210, 128].map((p) => context(p / 256));
  const rowFurther = Array.from({ length: 20 }, (_, i) => context([178, 128, 110][Math.min(i, 2)] / 256));
  const averages = new Array<number>(columns).fill(65_536);
  const codes: number[] = [];
  let [scale, count, state] = [0, 0, 0];

  for (const { bytes, rows } of chunks) {
    const bits = new Bits(bytes);
    for (let row = 0; row < rows; row++) {
      if (bits.decide(rowZero) === 1) {
        for (let j = 0; j < columns; j++) codes.push(0);
        continue;
      }
      readScale(bits);
      const levels = averages.map((average) => {
        const e = Math.floor(Math.log2(average));
        const m = Math.floor(8 * (average / 2 ** e - 1));
        return Math.min(Math.max(Math.floor((2 * scale + 8 * e + m - 54) / 4), 0), 47);
      });
      const start = codes.length;
      const first = firstOf(start / columns);
      for (let j = 0; j < first; j++) codes.push(0);
      for (let j = first; j < columns; j += 16) readBlock(bits, levels.slice(j, j + 16));
      const rate = [2, 6, 16, 40, 100].filter((limit) => count >= limit).length + 2;
      const gain = [4096, 3444, 2896, 2435][((scale % 4) + 4) % 4] * 2 ** (4 - Math.floor(scale / 4));
      for (let j = first; j < columns; j++) {
        const x = Math.min(Math.floor(Math.abs(codes[start + j]) * gain), 2 ** 22);
        averages[j] = Math.max(averages[j] + Math.floor((x - averages[j]) / 2 ** rate), 256);
      }
      count++;
    }
  }
  return codes;

  function readScale(bits: Bits): void {
    if (count === 0) {
      scale = Math.min(bits.raw(7) - 40, 60);
    } else if (bits.decide(rowMoves) === 1) {
      const down = bits.decide(rowDown) === 1;
      let d = 1;
      while (d < 100 && bits.decide(rowFurther[Math.min(d - 1, 19)]) === 1) d++;
      scale = Math.min(Math.max(down ? scale - d : scale + d, -40), 60);
    }
  }

  function readBlock(bits: Bits, levels: number[]): void {
    let i = 0;
    const top = Math.max(...levels);
    if (states === 1 && levels.length === 16 && top < 12) {
      if (bits.decide(block[top]) === 0) {
        for (; i < 16; i++) codes.push(0);
        return;
      }
      for (; i < 15 && bits.decide(first[i]) === 0; i++) put(0);
      put(readMagnitude(bits, levels[i++]));
    }
    for (; i < levels.length; i++) {
      const q = q1.includes(state) ? 1 : 0;
      put(bits.decide(zero[q][levels[i]]) === 1 ? readMagnitude(bits, levels[i]) : 0);
    }
  }

  function put(k: number): void {
    codes.push(q1.includes(state) ? 2 * k - Math.sign(k) : 2 * k);
    state = next[state][Math.abs(k) % 2];
  }

  function readMagnitude(bits: Bits, level: number): number {
    const shift = level < 24 ? 0 : Math.floor((level - 22) / 2);
    const contexts = more[q1.includes(state) ? 1 : 0][level < 26 ? level : 24 + (level % 2)];
    let u = 0;
    while (u < 14 && bits.decide(contexts[u]) === 1) u++;
    if (u === 14) {
      let t = 0;
      while (t < 14 && bits.decide(escapes[t]) === 1) t++;
      u = 13 + 2 ** t + bits.raw(t);
    }
    const v = bits.raw(shift + 1);
    const size = Math.min(u * 2 ** shift + Math.floor(v / 2) + 1, 16_383);
    return v % 2 === 1 ? -size : size;
  }
}

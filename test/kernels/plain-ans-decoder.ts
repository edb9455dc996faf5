/**
 * A second decoder of the ANS coder, written from docs/spec/ans-coder.md and §3 of docs/spec/matrix-coder.md alone: plain
 * numbers, no shared code, one function a section.
 */

const LEVEL_COUNTS =
  `2046 1 · 2045 2 · 2044 2 · 2043 3 · 2042 3 · 2040 4 · 2036 6 · 2030 9 · 2022 13 · 2015 16 · 1994 27 ·
  1972 38 · 1927 60 · 1870 88 1 · 1767 139 1 · 1608 216 3 · 1433 303 4 · 1244 392 10 · 1049 465 34 1 · 877 492 88 6 ·
  665 489 169 29 4 · 449 424 250 98 22 5 1 · 271 257 300 211 77 29 9 3 1 ·
  228 231 194 155 119 82 54 31 18 11 6 4 2 1 1 1 · 170 293 245 174 109 60 32 14 6 3 1 1`
    .split('·')
    .map((row) => row.trim().split(/\s+/).map(Number));

const ODD_COUNTS = [305, 214, 150, 106, 74, 52, 37, 26, 18, 13, 9, 6, 4, 3, 2];
const EVEN_COUNTS = [227, 176, 137, 107, 83, 65, 51, 39, 31, 24, 19, 14, 11, 9, 7];
const ROW_COUNTS = [422, 194, 200, 140, 96, 71, 44, 24, 14, 13, 6, 4, 2, 1, 1];

interface Table {
  counts: number[];
  frequencies: number[];
  limit: number;
}

const sumOf = (numbers: number[]): number => numbers.reduce((sum, x) => sum + x, 0);

/** §2: frequencies from counts. */
function make(table: Table): void {
  if (sumOf(table.counts) > 2 ** 17) table.counts = table.counts.map((c) => Math.floor(c / 2));
  const total = sumOf(table.counts);
  table.limit = total + Math.floor(total / 2);
  const share = (c: number): number => Math.floor((2048 * c + Math.floor(total / 2)) / total);
  const f = table.counts.map(share);
  f[0] = Math.max(1, share(sumOf(table.counts.filter((_, s) => s === 0 || f[s] === 0))));
  const top = table.counts.indexOf(Math.max(...table.counts.slice(1)), 1);
  f[top] += 2048 - sumOf(f);
  table.frequencies = f;
}

function firstTable(number: number): Table {
  const counts = new Array<number>(32).fill(0);
  counts[0] = 4;
  const isRaw = number >= 25 && number < 48;
  const list = isRaw ? [EVEN_COUNTS, ODD_COUNTS][number % 2] : (LEVEL_COUNTS[number] ?? ROW_COUNTS);
  for (const [v, n] of list.entries()) {
    counts[16 + v] = n;
    counts[(isRaw ? 15 : 16) - v] = n;
  }
  if (number === 48) counts[1] = 16;
  const table = { counts, frequencies: [], limit: 0 };
  make(table);
  return table;
}

/** §1: the lanes of a chunk. */
class Lanes {
  readonly #bytes: Uint8Array;
  readonly #states: number[];
  #at = 64;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#states = Array.from({ length: 16 }, (_, lane) => this.#number(4 * lane, 4));
  }

  #number(at: number, length: number): number {
    let value = 0;
    for (let i = length - 1; i >= 0; i--) value = 256 * value + (this.#bytes[at + i] ?? 0);
    return value;
  }

  #refill(lane: number): void {
    if (this.#states[lane] >= 2 ** 16) return;
    this.#states[lane] = 2 ** 16 * this.#states[lane] + this.#number(this.#at, 2);
    this.#at += 2;
  }

  /** The value of a symbol; undefined for an escape. */
  symbol(lane: number, { frequencies }: Table): number | undefined {
    const x = this.#states[lane];
    let [s, start] = [0, 0];
    while (start + frequencies[s] <= x % 2048) start += frequencies[s++];
    this.#states[lane] = frequencies[s] * Math.floor(x / 2048) + (x % 2048) - start;
    this.#refill(lane);
    return s === 0 ? undefined : s - 16;
  }

  raw(lane: number, bits: number): number {
    const x = this.#states[lane];
    this.#states[lane] = Math.floor(x / 2 ** bits);
    this.#refill(lane);
    return x % 2 ** bits;
  }
}

/** The codes of a matrix whose chunks have these rows. */
export function plainAnsDecode(
  columns: number,
  chunks: readonly { bytes: Uint8Array; rows: number }[],
): number[] {
  const tables = Array.from({ length: 49 }, (_, number) => firstTable(number));
  const averages = new Array<number>(columns).fill(65_536);
  const codes: number[] = [];
  let [scale, count] = [0, 0];

  const add = (table: Table, value: number | undefined): void => {
    table.counts[value === undefined || Math.abs(value) > 15 ? 0 : 16 + value] += 32;
  };

  /** §3.1 and 2. Whether the row is all zeros. */
  const readRow = (lanes: Lanes): boolean => {
    let move = lanes.symbol(0, tables[48]);
    let next = scale + (move ?? 0);
    if (move === undefined) {
      const w = lanes.raw(0, 7);
      if (w === 127) move = -15;
      else next = w - 40;
    }
    if (move === -15) {
      add(tables[48], -15);
      return true;
    }
    next = Math.min(Math.max(next, -40), 60);
    add(tables[48], next - scale < -14 ? undefined : next - scale);
    scale = next;
    return false;
  };

  /** §4. */
  const readBlock = (lanes: Lanes, levels: number[]): void => {
    const values = levels.map((level, i) => lanes.symbol(i, tables[level]));
    for (const [i, value] of values.entries()) {
      let v = value;
      if (v === undefined) {
        const t = lanes.raw(i, 4);
        const u = 2 ** t + lanes.raw(i, t);
        v = u % 2 === 1 ? (u - 1) / 2 : -u / 2;
      }
      const h = levels[i] < 25 ? 0 : Math.floor((levels[i] - 23) / 2);
      const k = Math.min(Math.max(v * 2 ** h + lanes.raw(i, h), -16_383), 16_383);
      codes.push(2 * k);
    }
  };

  for (const { bytes, rows } of chunks) {
    const lanes = new Lanes(bytes);
    for (let row = 0; row < rows; row++) {
      if (readRow(lanes)) {
        for (let j = 0; j < columns; j++) codes.push(0);
        continue;
      }
      const levels = averages.map((average) => {
        const e = Math.floor(Math.log2(average));
        const m = Math.floor(8 * (average / 2 ** e - 1));
        return Math.min(Math.max(Math.floor((2 * scale + 8 * e + m - 54) / 4), 0), 47);
      });
      const start = codes.length;
      for (let j = 0; j < columns; j += 16) readBlock(lanes, levels.slice(j, j + 16));
      const rate = [2, 6, 16, 40, 100].filter((limit) => count >= limit).length + 2;
      const gain = [4096, 3444, 2896, 2435][((scale % 4) + 4) % 4] * 2 ** (4 - Math.floor(scale / 4));
      for (let j = 0; j < columns; j++) {
        const x = Math.min(Math.floor(Math.abs(codes[start + j]) * gain), 2 ** 22);
        averages[j] = Math.max(averages[j] + Math.floor((x - averages[j]) / 2 ** rate), 256);
      }
      if (count % 8 === 0 || count * columns < 2 ** 17) {
        for (const [j, level] of levels.entries()) {
          const h = level < 25 ? 0 : Math.floor((level - 23) / 2);
          add(tables[level], Math.floor(codes[start + j] / 2 / 2 ** h));
        }
        for (const table of tables) if (sumOf(table.counts) >= table.limit) make(table);
      }
      count++;
    }
  }
  return codes.map((code) => code + 0);
}

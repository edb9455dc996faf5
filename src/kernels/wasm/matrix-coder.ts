/** The matrix coder over linear memories of its own, which are used again once a coder is freed. */
import { checkEncodeRows, checkFirstColumn, checkMatrixRows } from '../arguments.js';
import type {
  MatrixCoderOptions,
  MatrixDecoder,
  MatrixEncodeRequest,
  MatrixEncoder,
} from '../matrix-coder.js';
import {
  CONTEXT_COUNT,
  decisionCosts,
  FIRST_AVERAGE,
  FIRST_COUNT,
  firstProbabilities,
  SEGMENT,
} from '../matrix-model.js';
import { align, type CoderMemory, type CoderPool, PAGE_BYTES, PooledCoder, SLACK } from './coder-memory.js';

// The memory map of assembly/matrix-coder.ts.
const CONTEXTS = 128;
const CONTEXT_BYTES = 8;
const COSTS = 12_288;
const DYNAMIC = 73_728;
const OUT = 16;
const RAW_POINTER = 36;

/**
 * Bits after which a context has settled: settledAfter(8) of assembly/range-coder.ts. Fresh ones have counted less;
 * numbers that no decision has stay so, which assembly/matrix-decoder.ts uses.
 */
const SETTLED = 190;

/** Most bytes that an entry can take, and a row beside its entries. */
const ENTRY_BYTES = 48;
const ROW_BYTES = 256;

/** Fresh models for matrices of `columns` columns. Returns the addresses behind averages and levels. */
function resetModels(
  memory: CoderMemory,
  columns: number,
): { averages: number; levels: number; end: number } {
  const averages = DYNAMIC;
  const levels = align(averages + 4 * columns + SLACK);
  const end = align(levels + columns + SLACK);
  memory.reserve(end);
  memory.bytes.fill(0, 0, CONTEXTS);
  const probabilities = firstProbabilities();
  for (let i = 0; i < CONTEXT_COUNT; i++) {
    const at = CONTEXTS + i * CONTEXT_BYTES;
    memory.shorts[at / 2] = probabilities[i];
    memory.shorts[at / 2 + 1] = SETTLED - FIRST_COUNT;
    memory.words[at / 4 + 1] = probabilities[i] << 16;
  }
  memory.words.fill(FIRST_AVERAGE, averages / 4, levels / 4);
  return { averages, levels, end };
}

/** What encoder and decoder share. */
abstract class WasmCoder extends PooledCoder {
  protected readonly states: number;

  constructor(pool: CoderPool, { columns, states = 1 }: MatrixCoderOptions) {
    super(pool, columns, states);
    this.states = states;
  }
}

class WasmMatrixDecoder extends WasmCoder implements MatrixDecoder {
  readonly #averages: number;
  readonly #levels: number;
  readonly #out: number;
  readonly #payload: number;

  constructor(pool: CoderPool, options: MatrixCoderOptions) {
    super(pool, options);
    const { averages, levels, end } = resetModels(this.memory, this.columns);
    this.#averages = averages;
    this.#levels = levels;
    this.#out = end;
    this.#payload = align(end + 2 * this.blockRows * this.columns + SLACK) + SLACK;
    this.beginChunk(new Uint8Array(0));
  }

  beginChunk(bytes: Uint8Array): void {
    const { memory } = this;
    const start = this.#payload;
    const end = start + bytes.byteLength;
    memory.reserve(end + SLACK);
    // What lies around the payload reads as zero.
    memory.bytes.fill(0, start - 8, start);
    memory.bytes.set(bytes, start);
    memory.bytes.fill(0, end, end + 8);
    memory.kernels.beginDecoding(0, start, end);
  }

  decodeRows(rows: number, out: Int16Array, firstColumn = 0): void {
    const { memory, columns } = this;
    checkMatrixRows(rows, columns, 'out', out.length);
    checkFirstColumn(firstColumn, columns);
    if (columns === 0) return;
    const width = columns - firstColumn;
    const averages = this.#averages + 4 * firstColumn;
    for (let row = 0; row < rows; row += this.blockRows) {
      const count = Math.min(this.blockRows, rows - row);
      memory.kernels.matrixDecodeRows(this.states, averages, this.#levels, width, count, this.#out);
      const codes = memory.shorts.subarray(this.#out / 2, this.#out / 2 + count * width);
      if (firstColumn === 0) {
        out.set(codes, row * columns);
        continue;
      }
      for (let i = 0; i < count; i++) {
        const start = (row + i) * columns;
        out.fill(0, start, start + firstColumn);
        out.set(codes.subarray(i * width, (i + 1) * width), start + firstColumn);
      }
    }
  }
}

class WasmMatrixEncoder extends WasmCoder implements MatrixEncoder {
  readonly #averages: number;
  readonly #levels: number;
  readonly #weights: number;
  readonly #values: number;
  readonly #codes: number;
  readonly #payload: number;
  #payloadEnd: number;

  constructor(pool: CoderPool, options: MatrixCoderOptions) {
    super(pool, options);
    const { columns } = this;
    const { averages, levels, end } = resetModels(this.memory, columns);
    this.memory.floats.set(decisionCosts(), COSTS / 4);
    const entries = this.blockRows * columns;
    this.#averages = averages;
    this.#levels = levels;
    this.#weights = end;
    this.#values = align(end + 4 * columns + SLACK);
    this.#codes = align(this.#values + 4 * entries + SLACK);
    this.#payload = align(this.#codes + 2 * entries + SLACK) + SLACK;
    this.#payloadEnd = this.#payload + PAGE_BYTES;
    this.memory.reserve(this.#payloadEnd + SLACK);
    this.#begin();
  }

  encodeRows(request: MatrixEncodeRequest): void {
    const { values, rows, lambda, codes, columnWeights, factor = 1, firstColumn = 0 } = request;
    const { memory, columns } = this;
    checkEncodeRows(request, columns);
    checkFirstColumn(firstColumn, columns);
    if (columns === 0) return;
    if (columnWeights !== undefined) memory.floats.set(columnWeights, this.#weights / 4);
    else memory.floats.fill(1, this.#weights / 4, this.#weights / 4 + columns);
    // The kernels count in half steps.
    const bitCost = Math.fround(4 * lambda);
    for (let row = 0; row < rows; row += this.blockRows) {
      const count = Math.min(this.blockRows, rows - row);
      const start = row * columns;
      const end = start + count * columns;
      memory.floats.set(values.subarray(start, end), this.#values / 4);
      if (factor !== 1) memory.kernels.scaleFloats(this.#values, end - start, factor);
      for (let i = 0; i < count; i++) {
        const row = this.#codes + 2 * i * columns;
        memory.bytes.fill(0, row, row + 2 * firstColumn);
        if (columns - firstColumn <= SEGMENT) this.#encodeRow(i * columns, firstColumn, bitCost);
        else this.#encodeLongRow(i * columns, firstColumn, bitCost);
      }
      codes.set(memory.shorts.subarray(this.#codes / 2, this.#codes / 2 + count * columns), start);
    }
  }

  endChunk(): Uint8Array {
    const { memory } = this;
    const front = memory.kernels.finishEncoding(0);
    const back = memory.words[RAW_POINTER / 4];
    const out = new Uint8Array(front + this.#payloadEnd - back);
    out.set(memory.bytes.subarray(this.#payload, this.#payload + front));
    out.set(memory.bytes.subarray(back, this.#payloadEnd), front);
    this.#begin();
    return out;
  }

  #begin(): void {
    this.memory.kernels.beginEncoding(0, this.#payload, this.#payloadEnd);
  }

  /** @param offset of the row in the block @param first column that is coded */
  #encodeRow(offset: number, first: number, bitCost: number): void {
    const { columns, memory } = this;
    this.#makeRoom(columns);
    memory.kernels.matrixEncodeRow(
      this.states,
      this.#values + 4 * (offset + first),
      this.#weights + 4 * first,
      this.#averages + 4 * first,
      this.#levels,
      this.#codes + 2 * (offset + first),
      columns - first,
      bitCost,
    );
  }

  /** Quantises and codes segment by segment, so that costs follow the contexts, and room stays bounded. */
  #encodeLongRow(offset: number, first: number, bitCost: number): void {
    const { memory, states } = this;
    const { kernels } = memory;
    const width = this.columns - first;
    const values = this.#values + 4 * (offset + first);
    const weights = this.#weights + 4 * first;
    const averages = this.#averages + 4 * first;
    const row = this.#codes + 2 * (offset + first);
    this.#makeRoom(0);
    const scale = kernels.matrixChooseScale(values, width);
    kernels.matrixOpenRow(scale, averages, this.#levels, width);
    if (scale === -100) {
      memory.bytes.fill(0, row, row + 2 * width);
      return;
    }
    for (let start = 0; start < width; start += SEGMENT) {
      const count = Math.min(SEGMENT, width - start);
      const levels = this.#levels + start;
      const codes = row + 2 * start;
      this.#makeRoom(count);
      kernels.matrixQuantize(states, values + 4 * start, weights + 4 * start, levels, codes, count, bitCost);
      kernels.matrixCodeEntries(states, levels, codes, count);
    }
    kernels.updateAverages(averages, row, width);
  }

  /** Makes sure that `entries` more entries fit: the raw bits, at the end of the payload, move up. */
  #makeRoom(entries: number): void {
    const { memory } = this;
    const needed = entries * ENTRY_BYTES + ROW_BYTES;
    const rawBegin = memory.words[RAW_POINTER / 4];
    const free = rawBegin - memory.words[OUT / 4];
    if (free >= needed) return;
    const end = this.#payloadEnd + Math.max(needed, this.#payloadEnd - this.#payload);
    memory.reserve(end + SLACK);
    const moved = end - this.#payloadEnd;
    memory.bytes.copyWithin(rawBegin + moved, rawBegin, this.#payloadEnd);
    memory.words[RAW_POINTER / 4] += moved;
    this.#payloadEnd = end;
  }
}

export function createMatrixEncoder(pool: CoderPool, options: MatrixCoderOptions): MatrixEncoder {
  return new WasmMatrixEncoder(pool, options);
}

export function createMatrixDecoder(pool: CoderPool, options: MatrixCoderOptions): MatrixDecoder {
  return new WasmMatrixDecoder(pool, options);
}

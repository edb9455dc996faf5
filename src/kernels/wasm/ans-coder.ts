/** The ANS coder (docs/spec/ans-coder.md) over linear memories of its own. */
import { firstCounts, frequencyBits, STATES_BYTE_LENGTH, TABLES } from '../ans-model.js';
import { checkEncodeRows, checkMatrixRows } from '../arguments.js';
import type { RowsDecoder, RowsEncodeRequest, RowsEncoder } from '../matrix-coder.js';
import { FIRST_AVERAGE } from '../matrix-model.js';
import { align, type CoderPool, PooledCoder, SLACK } from './coder-memory.js';

// The memory map of assembly/ans-model.ts.
const POINTER = 72;
const COUNTS = 512;
const BITS = 19_328;
const SLOTS = 27_840;
const DYNAMIC = SLOTS + TABLES * 8192;

/** Most bytes of recorded steps that an entry takes, four of 4 bytes; and the start of a row. */
const ENTRY_BYTES = 16;
const ROW_BYTES = 8;
/** Zeros behind a payload, for what is read past its end: the words of 16 entries at once. */
const PAYLOAD_SLACK = 128;

/** What encoder and decoder share: fresh models behind the tables. */
abstract class WasmAnsCoder extends PooledCoder {
  protected readonly averages: number;
  protected readonly levels: number;
  /** Behind both. */
  protected readonly end: number;

  constructor(pool: CoderPool, columns: number, encodes: boolean) {
    super(pool, columns);
    this.averages = DYNAMIC;
    this.levels = align(this.averages + 4 * columns + SLACK);
    this.end = align(this.levels + columns + SLACK);
    const { memory } = this;
    memory.reserve(this.end);
    memory.bytes.fill(0, 0, COUNTS);
    memory.words.set(firstCounts(), COUNTS / 4);
    if (encodes) memory.floats.set(frequencyBits(), BITS / 4);
    memory.words.fill(FIRST_AVERAGE, this.averages / 4, this.levels / 4);
    memory.kernels.ansReset(encodes ? 1 : 0);
  }
}

class WasmAnsDecoder extends WasmAnsCoder implements RowsDecoder {
  readonly #out: number;
  readonly #payload: number;

  constructor(pool: CoderPool, columns: number) {
    super(pool, columns, false);
    this.#out = this.end;
    this.#payload = align(this.end + 2 * this.blockRows * columns + SLACK);
    this.beginChunk(new Uint8Array(0));
  }

  beginChunk(bytes: Uint8Array): void {
    const { memory } = this;
    const end = this.#payload + bytes.byteLength;
    memory.reserve(end + PAYLOAD_SLACK);
    memory.bytes.set(bytes, this.#payload);
    memory.bytes.fill(0, end, end + PAYLOAD_SLACK);
    memory.kernels.ansBegin(this.#payload, end);
  }

  decodeRows(rows: number, out: Int16Array): void {
    const { memory, columns } = this;
    checkMatrixRows(rows, columns, 'out', out.length);
    if (columns === 0) return;
    for (let row = 0; row < rows; row += this.blockRows) {
      const count = Math.min(this.blockRows, rows - row);
      memory.kernels.ansDecodeRows(this.averages, this.levels, columns, count, this.#out);
      out.set(memory.shorts.subarray(this.#out / 2, this.#out / 2 + count * columns), row * columns);
    }
  }
}

class WasmAnsEncoder extends WasmAnsCoder implements RowsEncoder {
  readonly #weights: number;
  readonly #values: number;
  readonly #codes: number;
  readonly #steps: number;

  constructor(pool: CoderPool, columns: number) {
    super(pool, columns, true);
    const entries = this.blockRows * columns;
    this.#weights = this.end;
    this.#values = align(this.#weights + 4 * columns + SLACK);
    this.#codes = align(this.#values + 4 * entries + SLACK);
    this.#steps = align(this.#codes + 2 * entries + SLACK);
    this.memory.reserve(this.#steps);
    this.memory.words[POINTER / 4] = this.#steps;
  }

  encodeRows(request: RowsEncodeRequest): void {
    const { values, rows, lambda, codes, columnWeights, factor = 1 } = request;
    const { memory, columns, averages, levels } = this;
    checkEncodeRows(request, columns);
    if (columns === 0) return;
    if (columnWeights !== undefined) memory.floats.set(columnWeights, this.#weights / 4);
    else memory.floats.fill(1, this.#weights / 4, this.#weights / 4 + columns);
    // The kernels count in half steps.
    const bitCost = Math.fround(4 * lambda);
    for (let row = 0; row < rows; row += this.blockRows) {
      const count = Math.min(this.blockRows, rows - row);
      const start = row * columns;
      const end = start + count * columns;
      this.#makeRoom(count);
      memory.floats.set(values.subarray(start, end), this.#values / 4);
      if (factor !== 1) memory.kernels.scaleFloats(this.#values, end - start, factor);
      for (let i = 0; i < count; i++) {
        memory.kernels.ansEncodeRow(
          this.#values + 4 * i * columns,
          this.#weights,
          averages,
          levels,
          this.#codes + 2 * i * columns,
          columns,
          bitCost,
        );
      }
      codes.set(memory.shorts.subarray(this.#codes / 2, this.#codes / 2 + count * columns), start);
    }
  }

  endChunk(): Uint8Array {
    const { memory } = this;
    const end = memory.words[POINTER / 4];
    const start = memory.kernels.ansFinish(this.#steps);
    const out = new Uint8Array(STATES_BYTE_LENGTH + end - start);
    out.set(memory.bytes.subarray(0, STATES_BYTE_LENGTH));
    out.set(memory.bytes.subarray(start, end), STATES_BYTE_LENGTH);
    memory.words[POINTER / 4] = this.#steps;
    return out;
  }

  /** Makes sure that the steps of `rows` more rows fit. */
  #makeRoom(rows: number): void {
    const used = this.memory.words[POINTER / 4];
    const needed = used + rows * (this.columns * ENTRY_BYTES + ROW_BYTES);
    if (needed > this.memory.bytes.byteLength) this.memory.reserve(needed + ((used - this.#steps) >> 1));
  }
}

export function createAnsEncoder(pool: CoderPool, columns: number): RowsEncoder {
  return new WasmAnsEncoder(pool, columns);
}

export function createAnsDecoder(pool: CoderPool, columns: number): RowsDecoder {
  return new WasmAnsDecoder(pool, columns);
}

/**
 * The matrix coder of docs/spec/matrix-coder.md in plain TypeScript: the model once for both directions,
 * and the encoder's quantiser (scalar/matrix-quantizer.ts) before it.
 */
import { checkColumns, checkEncodeRows, checkFirstColumn, checkMatrixRows } from '../arguments.js';
import type {
  MatrixCoderOptions,
  MatrixDecoder,
  MatrixEncodeRequest,
  MatrixEncoder,
} from '../matrix-coder.js';
import { SEGMENT } from '../matrix-model.js';
import { MatrixModel } from './matrix-model.js';
import { chooseScale, MatrixQuantizer, moveCost, NO_SCALE } from './matrix-quantizer.js';
import { RangeDecoder, RangeEncoder } from './range-coder.js';

class ScalarMatrixEncoder implements MatrixEncoder {
  readonly #columns: number;
  readonly #model: MatrixModel;
  readonly #quantizer: MatrixQuantizer;
  #coder = new RangeEncoder();
  #freed = false;

  constructor({ columns, states = 1 }: MatrixCoderOptions) {
    checkColumns(columns, states);
    this.#columns = columns;
    this.#model = new MatrixModel(columns, states);
    this.#quantizer = new MatrixQuantizer(this.#model);
  }

  encodeRows(request: MatrixEncodeRequest): void {
    const { rows, lambda, codes, columnWeights, factor = 1, firstColumn = 0 } = request;
    const columns = this.#columns;
    this.#checkUse();
    checkEncodeRows(request, columns);
    checkFirstColumn(firstColumn, columns);
    if (columns === 0) return;
    const weights = columnWeights ?? new Float32Array(columns).fill(1);
    const scale = Math.fround(factor);
    const values = factor === 1 ? request.values : request.values.map((value) => value * scale);
    const bitCost = Math.fround(4 * lambda);
    for (let row = 0; row < rows; row++) {
      const part = [row * columns, (row + 1) * columns] as const;
      this.#encodeRow(values.subarray(...part), weights, codes.subarray(...part), bitCost, firstColumn);
    }
  }

  endChunk(): Uint8Array {
    this.#checkUse();
    const bytes = this.#coder.finish();
    this.#coder = new RangeEncoder();
    return bytes;
  }

  free(): void {
    this.#freed = true;
  }

  #encodeRow(
    values: Float32Array,
    weights: Float32Array,
    codes: Int16Array,
    bitCost: number,
    first: number,
  ): void {
    const model = this.#model;
    const columns = this.#columns;
    const isShort = columns - first <= SEGMENT;
    codes.fill(0, 0, first);
    const previous = model.scale;
    let scale = chooseScale(values.subarray(first), model.fresh ? undefined : previous, (move) =>
      moveCost(model, move),
    );
    if (isShort && scale !== NO_SCALE) {
      model.scale = scale;
      model.prepareLevels(first);
      this.#quantizer.quantize(values, weights, codes, first, columns, bitCost);
      if (codes.every((k) => k === 0)) scale = NO_SCALE;
      model.scale = previous;
    }
    model.codeRowStart(this.#coder, scale === NO_SCALE ? undefined : scale);
    if (scale === NO_SCALE) {
      codes.fill(0);
      return;
    }
    model.prepareLevels(first);
    for (let start = first; start < columns; start += SEGMENT) {
      const end = Math.min(columns, start + SEGMENT);
      if (!isShort) this.#quantizer.quantize(values, weights, codes, start, end, bitCost);
      model.codeEntries(this.#coder, codes, start, end);
    }
    model.updateAverages(codes, first);
  }

  #checkUse(): void {
    if (this.#freed) throw new TypeError('expected a coder in use, got one that was freed');
  }
}

class ScalarMatrixDecoder implements MatrixDecoder {
  readonly #columns: number;
  readonly #model: MatrixModel;
  #coder = new RangeDecoder(new Uint8Array(0));
  #freed = false;

  constructor({ columns, states = 1 }: MatrixCoderOptions) {
    checkColumns(columns, states);
    this.#columns = columns;
    this.#model = new MatrixModel(columns, states);
  }

  beginChunk(bytes: Uint8Array): void {
    this.#checkUse();
    this.#coder = new RangeDecoder(bytes.slice());
  }

  decodeRows(rows: number, out: Int16Array, firstColumn = 0): void {
    const columns = this.#columns;
    this.#checkUse();
    checkMatrixRows(rows, columns, 'out', out.length);
    checkFirstColumn(firstColumn, columns);
    if (columns === 0) return;
    for (let row = 0; row < rows; row++) {
      const codes = out.subarray(row * columns, (row + 1) * columns);
      if (this.#model.codeRowStart(this.#coder, undefined)) {
        codes.fill(0);
        continue;
      }
      codes.fill(0, 0, firstColumn);
      this.#model.prepareLevels(firstColumn);
      this.#model.codeEntries(this.#coder, codes, firstColumn, columns);
      this.#model.updateAverages(codes, firstColumn);
    }
  }

  free(): void {
    this.#freed = true;
  }

  #checkUse(): void {
    if (this.#freed) throw new TypeError('expected a coder in use, got one that was freed');
  }
}

export function createMatrixEncoder(options: MatrixCoderOptions): MatrixEncoder {
  return new ScalarMatrixEncoder(options);
}

export function createMatrixDecoder(options: MatrixCoderOptions): MatrixDecoder {
  return new ScalarMatrixDecoder(options);
}

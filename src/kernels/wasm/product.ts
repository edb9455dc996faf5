/**
 * Integer products. The right operand is packed once into ordinary memory. `accumulate` brings it into
 * the arena's operand region, where it stays for the next row block; an operand that is larger goes
 * through in chunks of columns. Rows of `a` and `out` go through the scratch region in blocks.
 */
import type { FloatDtype } from '../../../formats/dtype.js';
import { checkOperand, checkProduct, checkRounded, elementByteLength } from '../arguments.js';
import { type PreparedProduct, PRODUCT_ROWS as TILE_ROWS, type WideIntegers } from '../kernels.js';
import { type Arena, bytesOf, OPERAND_START } from './arena.js';
import { FORMAT_NUMBERS } from './kernel-exports.js';
import { copyIn, copyOut } from './rectangle.js';

/** Scratch for raw and packed rows of `a`; a block is at least one tile. */
const ROWS_BYTES = 512 * 1024;

/** Scratch for rows of `out`. */
const OUT_BYTES = 512 * 1024;

const PANEL_STEP_BYTES = 32;
const EDGE_BYTES = TILE_ROWS * PANEL_STEP_BYTES;

/** What differs between the int16 and the wide product. */
interface ProductKind {
  readonly panelColumns: number;
  /** Elements of k that one step of the packed operands holds. */
  readonly stepK: number;
  /** Bytes of one step of a packed tile. */
  readonly tileStepBytes: number;
}

const NARROW: ProductKind = { panelColumns: 8, stepK: 2, tileStepBytes: 16 };
const WIDE: ProductKind = { panelColumns: 4, stepK: 1, tileStepBytes: 32 };

/** What `productRounded` rounds to. */
const ROUNDED: readonly FloatDtype[] = ['BF16', 'F16', 'F32'];

type Integers = Int16Array | Int32Array | Float64Array;

class WasmProduct<T extends Integers> implements PreparedProduct<T> {
  readonly columns: number;
  readonly k: number;
  readonly #arena: Arena;
  readonly #kind: ProductKind;
  readonly #scale: number;
  readonly #steps: number;
  readonly #panelByteLength: number;
  #panels: Uint8Array | undefined;

  constructor(arena: Arena, kind: ProductKind, b: T, columns: number, k: number, scale: number) {
    checkOperand(b.length, columns, k);
    this.columns = columns;
    this.k = k;
    this.#arena = arena;
    this.#kind = kind;
    this.#scale = Math.fround(scale);
    this.#steps = Math.ceil(k / kind.stepK);
    this.#panelByteLength = this.#steps * PANEL_STEP_BYTES;
    this.#panels = this.#pack(b);
  }

  accumulate(a: T, rows: number, out: Float32Array): void {
    const { columns, k } = this;
    if (this.#panels === undefined) throw new TypeError('expected a prepared product, got a freed one');
    checkProduct(a.length, rows, columns, k, out.length);
    if (rows === 0 || columns === 0) return;
    const arena = this.#arena;
    const { panelColumns } = this.#kind;
    const width = a.BYTES_PER_ELEMENT;
    const panelsThatFit = Math.floor(arena.operandByteLength / Math.max(this.#panelByteLength, 1));
    const resident = this.#panels.byteLength <= arena.operandByteLength;
    const place = arena.addressOf(out);
    const columnsPerChunk = Math.min(
      Math.ceil(columns / panelColumns) * panelColumns,
      place === undefined ? OUT_BYTES / 4 / TILE_ROWS : Number.POSITIVE_INFINITY,
      resident ? Number.POSITIVE_INFINITY : Math.max(1, panelsThatFit) * panelColumns,
    );
    const rowsPerBlock = Math.min(
      this.#rowsThatFit(width),
      place === undefined ? tileMultiple(OUT_BYTES / 4 / columnsPerChunk) : Number.POSITIVE_INFINITY,
      Math.ceil(rows / TILE_ROWS) * TILE_ROWS,
    );
    const [edge, raw, tiles, block] = arena.layOut(
      EDGE_BYTES,
      rowsPerBlock * k * width,
      this.#tilesByteLength(rowsPerBlock),
      place === undefined ? rowsPerBlock * columnsPerChunk * 4 : 0,
    );
    for (let column = 0; column < columns; column += columnsPerChunk) {
      const columnCount = Math.min(columnsPerChunk, columns - column);
      const panels = this.#bringPanels(this.#panels, column, columnCount, resident);
      for (let row = 0; row < rows; row += rowsPerBlock) {
        const rowCount = Math.min(rowsPerBlock, rows - row);
        this.#packTiles(a, row, rowCount, raw, tiles);
        const rectangle = { row, rowCount, column, columnCount, columns };
        const multiply = this.#kind === NARROW ? arena.kernels.productInt16 : arena.kernels.productFloat64;
        const size = [rowCount, columnCount, this.#steps, this.#scale] as const;
        if (place !== undefined) {
          multiply(tiles, panels, ...size, place + (row * columns + column) * 4, columns * 4, edge);
        } else {
          copyIn(arena, block, out, rectangle);
          multiply(tiles, panels, ...size, block, columnCount * 4, edge);
          copyOut(arena, block, out, rectangle);
        }
      }
    }
  }

  addAndRound(dtype: FloatDtype, a: T, rows: number, base: Uint8Array, out: Uint8Array): number {
    const { columns, k } = this;
    if (this.#panels === undefined) throw new TypeError('expected a prepared product, got a freed one');
    checkRounded(dtype, a.length, { rows, columns, k }, base, out);
    const arena = this.#arena;
    const rowByteLength = columns * elementByteLength(dtype);
    const [baseAt, outAt] = [arena.addressOf(base), arena.addressOf(out)];
    const isInPlace = baseAt !== undefined && outAt !== undefined;
    const isFit =
      this.#kind === NARROW &&
      this.#scale > 0 &&
      ROUNDED.includes(dtype) &&
      columns % this.#kind.panelColumns === 0 &&
      this.#panels.byteLength <= arena.operandByteLength &&
      (isInPlace || TILE_ROWS * rowByteLength <= OUT_BYTES);
    const whole = isFit ? rows - (rows % TILE_ROWS) : 0;
    if (whole === 0 || columns === 0) return 0;
    const rowsPerBlock = Math.min(
      this.#rowsThatFit(a.BYTES_PER_ELEMENT),
      isInPlace ? Number.POSITIVE_INFINITY : tileMultiple(OUT_BYTES / rowByteLength),
      whole,
    );
    const blockByteLength = isInPlace ? 0 : rowsPerBlock * rowByteLength;
    const [raw, tiles, source, target] = arena.layOut(
      rowsPerBlock * k * a.BYTES_PER_ELEMENT,
      this.#tilesByteLength(rowsPerBlock),
      blockByteLength,
      blockByteLength,
    );
    const panels = this.#bringPanels(this.#panels, 0, columns, true);
    for (let row = 0; row < whole; row += rowsPerBlock) {
      const rowCount = Math.min(rowsPerBlock, whole - row);
      this.#packTiles(a, row, rowCount, raw, tiles);
      const [from, to] = [row * rowByteLength, (row + rowCount) * rowByteLength];
      const size = [rowCount, columns, this.#steps, this.#scale] as const;
      const multiply = (sourceAt: number, targetAt: number): boolean =>
        arena.kernels.productRounded(FORMAT_NUMBERS[dtype], tiles, panels, ...size, sourceAt, targetAt) !== 0;
      if (isInPlace) {
        if (!multiply(baseAt + from, outAt + from)) return row;
      } else {
        arena.bytes.set(base.subarray(from, to), source);
        if (!multiply(source, target)) return row;
        out.set(arena.bytes.subarray(target, target + to - from), from);
      }
    }
    return whole;
  }

  free(): void {
    if (this.#arena.operand === this) this.#arena.operand = undefined;
    this.#panels = undefined;
  }

  /** Puts the panels of a chunk of columns into the operand region; returns the address of the first. */
  #bringPanels(panels: Uint8Array, column: number, columnCount: number, resident: boolean): number {
    const arena = this.#arena;
    const { panelColumns } = this.#kind;
    const start = (column / panelColumns) * this.#panelByteLength;
    if (resident) {
      if (arena.operand !== this) {
        arena.reserve(OPERAND_START + panels.byteLength);
        arena.bytes.set(panels, OPERAND_START);
        arena.operand = this;
      }
      return OPERAND_START + start;
    }
    const byteLength = Math.ceil(columnCount / panelColumns) * this.#panelByteLength;
    arena.reserve(OPERAND_START + byteLength);
    arena.bytes.set(panels.subarray(start, start + byteLength), OPERAND_START);
    arena.operand = undefined;
    return OPERAND_START;
  }

  /** Rows whose raw and packed left operand fit into their part of the scratch region. */
  #rowsThatFit(width: number): number {
    return tileMultiple(ROWS_BYTES / (this.k * width + this.#tilesByteLength(1)));
  }

  #tilesByteLength(rows: number): number {
    return (rows / TILE_ROWS) * this.#steps * this.#kind.tileStepBytes;
  }

  /** Packs rows of `a` to `tiles`, through `raw`. */
  #packTiles(a: T, row: number, rowCount: number, raw: number, tiles: number): void {
    const { k } = this;
    const { bytes, kernels } = this.#arena;
    bytes.set(bytesOf(a.subarray(row * k, (row + rowCount) * k)), raw);
    if (this.#kind === NARROW) kernels.packTilesInt16(raw, rowCount, k, tiles);
    else kernels.packTilesWide(raw, rowCount, k, tiles, a instanceof Int32Array ? 1 : 0);
  }

  #pack(b: T): Uint8Array {
    const { columns, k } = this;
    const arena = this.#arena;
    const { panelColumns } = this.#kind;
    const packed = new Uint8Array(Math.ceil(columns / panelColumns) * this.#panelByteLength);
    if (packed.byteLength === 0) return packed;
    const rawByteLength = panelColumns * k * b.BYTES_PER_ELEMENT;
    const panelsPerBlock = Math.max(1, Math.floor(ROWS_BYTES / (rawByteLength + this.#panelByteLength)));
    const blockColumns = panelsPerBlock * panelColumns;
    const [raw, target] = arena.layOut(
      panelsPerBlock * rawByteLength,
      panelsPerBlock * this.#panelByteLength,
    );
    for (let column = 0; column < columns; column += blockColumns) {
      const count = Math.min(blockColumns, columns - column);
      arena.bytes.set(bytesOf(b.subarray(column * k, (column + count) * k)), raw);
      if (this.#kind === NARROW) arena.kernels.packPanelsInt16(raw, count, k, target);
      else arena.kernels.packPanelsWide(raw, count, k, target, b instanceof Int32Array ? 1 : 0);
      const byteLength = Math.ceil(count / panelColumns) * this.#panelByteLength;
      packed.set(
        arena.bytes.subarray(target, target + byteLength),
        (column / panelColumns) * this.#panelByteLength,
      );
    }
    return packed;
  }
}

function tileMultiple(rows: number): number {
  return Math.max(TILE_ROWS, Math.floor(Math.min(rows, 2 ** 24) / TILE_ROWS) * TILE_ROWS);
}

export function prepareProduct(
  arena: Arena,
  b: Int16Array,
  columns: number,
  k: number,
  scale: number,
): PreparedProduct<Int16Array> {
  return new WasmProduct(arena, NARROW, b, columns, k, scale);
}

export function prepareWideProduct(
  arena: Arena,
  b: WideIntegers,
  columns: number,
  k: number,
  scale: number,
): PreparedProduct<WideIntegers> {
  return new WasmProduct<WideIntegers>(arena, WIDE, b, columns, k, scale);
}

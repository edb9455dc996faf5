/** Blocks of a matrix that a thread keeps from one shared pass to the next, as far as there is room. */
import type { Matrix } from './matrix.js';
import type { BlockSource } from './matrix-stream.js';

export class BlockCache implements BlockSource {
  readonly rows: number;
  readonly columns: number;
  readonly rowBlock: number;
  readonly isInMemory = false;
  /** Bytes that may be kept. What is there stays when it is lowered. */
  byteLimit = 0;
  readonly #source: BlockSource;
  readonly #blocks = new Map<number, Promise<Matrix>>();

  constructor(source: BlockSource) {
    this.#source = source;
    const { rows, columns, rowBlock } = source;
    this.rows = rows;
    this.columns = columns;
    this.rowBlock = rowBlock;
  }

  /** Bytes that are kept, each block as a whole one. */
  get byteLength(): number {
    return this.#blocks.size * this.#blockByteLength;
  }

  get #blockByteLength(): number {
    return this.rowBlock * this.columns * Float32Array.BYTES_PER_ELEMENT;
  }

  readBlock(block: number, room: () => Float32Array): Promise<Matrix> {
    const kept = this.#blocks.get(block);
    if (kept !== undefined) return kept;
    if (this.byteLength + this.#blockByteLength > this.byteLimit) return this.#source.readBlock(block, room);
    let own: Float32Array | undefined;
    const reading = this.#source.readBlock(block, () => {
      own ??= new Float32Array(this.rowBlock * this.columns);
      return own;
    });
    this.#blocks.set(block, reading);
    reading.catch(() => this.#blocks.delete(block));
    return reading;
  }
}

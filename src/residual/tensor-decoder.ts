/**
 * One tensor of an archive, open: its bytes block by block (docs/spec/codecs.md §1), per row the bytes of exact
 * terms, the base's bytes, or base + Σ terms in float32. Blocks may be decoded in any order but where a codec has to
 * see every row before those behind it; such blocks form a chain. Nothing larger than a block is held besides what
 * codecs keep.
 */
import {
  DTYPES,
  type Dtype,
  elementCount,
  type FloatDtype,
  isFloatDtype,
  tensorByteLength,
} from '../../formats/dtype.js';
import type { ArchiveTensor } from '../../formats/ere/archive-index.js';
import { CodecError } from '../../formats/errors.js';
import {
  type AdditiveDecoder,
  type ExactDecoder,
  PIECE_BYTE_LENGTH,
  type PredictedRows,
} from '../codecs/codec.js';
import { type DecodeKernels, MAX_RESIDUAL_BLOCK, PRODUCT_ROWS, RESIDUAL_BLOCK } from '../kernels/kernels.js';
import { isAdditive, isExact, type OpenTerm, openTerms } from './open-terms.js';
import { blockRows } from './runtime.js';

/** What is decoded: the parts of an ArchiveTensor that matter, so that an encoder can decode before the archive exists. */
export type DecodableTensor = Pick<ArchiveTensor, 'name' | 'dtype' | 'shape' | 'columns' | 'terms'> & {
  readonly base?: Omit<NonNullable<ArchiveTensor['base']>, 'digest'>;
};

export interface OpenTensorInput {
  readonly tensor: DecodableTensor;
  /** Name of the archive, for messages. */
  readonly archive: string;
  /** Chunk by its number in `terms[].chunks`; undefined when it lies behind the cut of a truncated archive. */
  readonly readChunk: (chunk: number) => Promise<Uint8Array | undefined>;
  /** Takes back what `readChunk` gave. */
  readonly releaseChunk?: ((bytes: Uint8Array) => void) | undefined;
  readonly hasBase: boolean;
  readonly runtime: { readonly kernels: DecodeKernels };
  /** Elements of a block at most, where rows are no longer; default: as `blockRows`. */
  readonly blockElements?: number;
}

/** A part of the tensor: whole rows, or a piece of one long row. All of it follows one rule. */
export interface Block {
  readonly start: number;
  readonly end: number;
  readonly byteOffset: number;
  readonly byteLength: number;
  /** Bytes of the base tensor that it is decoded from; none where the length is 0. */
  readonly baseOffset: number;
  readonly baseLength: number;
  /** Blocks of one chain come after each other; undefined for a block that stands alone. */
  readonly chain: number | undefined;
}

export interface TensorDecoder {
  /** In ascending order, without gaps. */
  readonly blocks: readonly Block[];
  /** Bytes of the base tensor; 0 without one. */
  readonly baseByteLength: number;
  /** Whether every byte is the base's. */
  readonly isBase: boolean;
  /**
   * Decodes one block.
   * @param base its bytes of the base; @param out room for its bytes
   * @param withValues give computed rows with their float32 values where these say more
   * @returns the bytes: `out`, or `base` itself where they are the same
   * @throws CodecError
   */
  decode(block: Block, base: Uint8Array, out: Uint8Array, withValues?: boolean): Promise<PredictedRows>;
  close(): void;
}

/** @throws CodecError, UnsupportedError */
export async function openTensorDecoder(input: OpenTensorInput): Promise<TensorDecoder> {
  const { tensor } = input;
  const elements = elementCount(tensor.shape);
  const isWholeBytes = Number.isInteger((tensor.columns * DTYPES[tensor.dtype].bits) / 8);
  // Packed rows that share bytes over their ends can only be copied: as one row.
  const columns = isWholeBytes || tensor.terms.length > 0 ? tensor.columns : elements;
  const rows = elements / columns;
  const rowByteLength = (columns * DTYPES[tensor.dtype].bits) / 8;
  const layout = baseLayout(input, columns);
  const terms = await openTerms(input, rows, rowByteLength);
  return new RowDecoder(input, { rows, columns, rowByteLength, base: layout }, terms);
}

interface BaseLayout {
  readonly dtype: Dtype;
  readonly rows: number;
  readonly rowByteLength: number;
  readonly byteLength: number;
}

function baseLayout({ tensor, hasBase }: OpenTensorInput, columns: number): BaseLayout {
  const dtype = tensor.base?.dtype ?? tensor.dtype;
  const rowByteLength = (columns * DTYPES[dtype].bits) / 8;
  const byteLength = hasBase ? (tensorByteLength(dtype, tensor.base?.shape ?? tensor.shape) ?? 0) : 0;
  const rows =
    Number.isInteger(rowByteLength) && rowByteLength > 0 ? Math.floor(byteLength / rowByteLength) : 0;
  return { dtype, rows, rowByteLength, byteLength };
}

interface Layout {
  readonly rows: number;
  readonly columns: number;
  readonly rowByteLength: number;
  readonly base: BaseLayout;
}

/** Rows [start, end) that the same terms cover, and all or none of which are in the base: how they are decoded. */
interface Rule {
  readonly start: number;
  readonly end: number;
  /** The exact term that gives the bytes; undefined where they are the base's or computed. */
  readonly exact: OpenTerm<ExactDecoder> | undefined;
  readonly additive: readonly OpenTerm<AdditiveDecoder>[];
  /** Exact terms on top of these, in order. */
  readonly onTop: readonly OpenTerm<ExactDecoder>[];
  readonly kind: 'exact' | 'copied' | 'computed' | 'invalid';
  readonly needsBase: boolean;
}

class RowDecoder implements TensorDecoder {
  readonly blocks: readonly Block[];
  readonly #input: OpenTensorInput;
  readonly #layout: Layout;
  readonly #terms: readonly OpenTerm[];
  readonly #rules: readonly Rule[];

  constructor(input: OpenTensorInput, layout: Layout, terms: readonly OpenTerm[]) {
    this.#input = input;
    this.#layout = layout;
    this.#terms = terms;
    const borders = [layout.base.rows, ...terms.flatMap(({ start, end }) => [start, end])];
    this.#rules = rowRanges(layout.rows, borders).map(([start, end]) => this.#ruleOf(start, end));
    this.blocks = this.#rules.flatMap((rule) => this.#blocksOf(rule));
  }

  get baseByteLength(): number {
    return this.#layout.base.byteLength;
  }

  get isBase(): boolean {
    const { rows, rowByteLength, base } = this.#layout;
    const isCopied = this.#rules.every(({ kind, onTop }) => kind === 'copied' && onTop.length === 0);
    return isCopied && rows * rowByteLength === base.byteLength;
  }

  async decode(block: Block, base: Uint8Array, out: Uint8Array, withValues = false): Promise<PredictedRows> {
    const rule = this.#rules.find(({ start, end }) => start <= block.start && end >= block.end)!;
    let rows = await this.#lowest(rule, block, base, out, withValues || rule.onTop.length > 0);
    for (const term of rule.onTop) {
      // Codecs read their prediction while they write.
      const target = new Uint8Array(block.byteLength);
      await term.decoder.decode(this.#offsetIn(term, block), rows, target);
      rows = { bytes: target };
    }
    return rows;
  }

  close(): void {
    for (const term of this.#terms) term.decoder.close();
  }

  /** Everything but the exact terms on top. */
  async #lowest(
    rule: Rule,
    block: Block,
    base: Uint8Array,
    out: Uint8Array,
    withValues: boolean,
  ): Promise<PredictedRows> {
    switch (rule.kind) {
      case 'exact': {
        const prediction = rule.needsBase ? { bytes: base } : undefined;
        await rule.exact!.decoder.decode(this.#offsetIn(rule.exact!, block), prediction, out);
        return { bytes: out };
      }
      case 'copied':
        return { bytes: base };
      case 'computed':
        for (const { start, decoder } of rule.additive)
          await decoder.prepare(block.start - start, block.end - block.start);
        return this.#compute(rule, block, base, out, withValues);
      case 'invalid':
        throw this.#blockError(block, rule);
    }
  }

  /** base + Σ terms, in parts that stay in the cache. Nothing is awaited: the residual block is everybody's. */
  #compute(rule: Rule, block: Block, base: Uint8Array, out: Uint8Array, withValues: boolean): PredictedRows {
    const { columns, rowByteLength } = this.#layout;
    const { tensor, runtime } = this.#input;
    const { kernels } = runtime;
    const [dtype, baseDtype] = [tensor.dtype as FloatDtype, this.#layout.base.dtype as FloatDtype];
    const bases = rule.needsBase
      ? base
      : new Uint8Array((block.end - block.start) * this.#layout.base.rowByteLength);
    const values =
      withValues && DTYPES[dtype].bits < 32
        ? new Float32Array((block.end - block.start) * columns)
        : undefined;
    const step = partRows(columns);
    const wide = columns > MAX_RESIDUAL_BLOCK ? new Float32Array(columns) : undefined;
    const isPlain = rule.needsBase && values === undefined && dtype === baseDtype;
    const done = isPlain ? addAndRoundAlone(rule, block, dtype, base, out) : 0;
    for (let row = block.start + done; row < block.end; row += step) {
      const count = Math.min(step, block.end - row);
      const first = row - block.start;
      const residual = wide ?? kernels.residualBlock(count * columns);
      // Sums start at +0. Without a term the value is the base's own, and only x + (−0) is x for every x.
      residual.fill(rule.additive.length === 0 ? -0 : 0);
      for (const { start, decoder } of rule.additive) decoder.accumulate(row - start, count, residual);
      const part = bases.subarray(
        first * this.#layout.base.rowByteLength,
        (first + count) * this.#layout.base.rowByteLength,
      );
      const target = out.subarray(first * rowByteLength, (first + count) * rowByteLength);
      if (values === undefined) {
        kernels.addAndRound(dtype, baseDtype, part, residual, target);
      } else {
        roundWithValues(kernels, dtype, baseDtype, part, residual, target, values.subarray(first * columns));
      }
    }
    return values === undefined ? { bytes: out } : { bytes: out, values };
  }

  /** Place of a block in the rows that a term covers, in bytes. */
  #offsetIn(term: OpenTerm, block: Block): number {
    return block.byteOffset - term.start * this.#layout.rowByteLength;
  }

  #ruleOf(start: number, end: number): Rule {
    const terms = this.#terms.filter((term) => term.start <= start && term.end >= end);
    // A term that needs nothing of those before it hides them; exact ones behind it stand on top of it.
    const first = terms.findLastIndex(
      (term) => isExact(term) && term.decoder.prediction !== 'reconstruction',
    );
    const onTop = terms.slice(first + 1).filter(isExact);
    const below = onTop.length === 0 ? terms : terms.slice(0, terms.indexOf(onTop[0]!));
    const exact = first === -1 ? undefined : (terms[first] as OpenTerm<ExactDecoder>);
    const additive = first === -1 ? below.filter(isAdditive) : [];
    const { base } = this.#layout;
    const { dtype } = this.#input.tensor;
    const inBase = end <= base.rows;
    const rule = { start, end, exact, additive, onTop };
    if (exact !== undefined) {
      const needsBase = exact.decoder.prediction === 'base';
      return { ...rule, kind: needsBase && !inBase ? 'invalid' : 'exact', needsBase };
    }
    if (additive.length === 0 && inBase && base.dtype === dtype)
      return { ...rule, kind: 'copied', needsBase: true };
    const isFloat = isFloatDtype(dtype) && isFloatDtype(base.dtype);
    const isComputed = (additive.length > 0 || inBase) && isFloat;
    return { ...rule, kind: isComputed ? 'computed' : 'invalid', needsBase: inBase };
  }

  #blocksOf(rule: Rule): Block[] {
    const { columns, rowByteLength, base } = this.#layout;
    const { blockElements } = this.#input;
    // Whole rows, but for long ones that need not be computed.
    const isCut = rule.kind !== 'computed' && rule.onTop.length === 0 && rowByteLength > PIECE_BYTE_LENGTH;
    const step = isCut ? PIECE_BYTE_LENGTH : blockRows(columns, blockElements) * rowByteLength;
    const isChain = [...rule.additive, ...rule.onTop, ...(rule.exact === undefined ? [] : [rule.exact])].some(
      ({ decoder }) => decoder.isSequential,
    );
    const [from, to] = [rule.start * rowByteLength, rule.end * rowByteLength];
    const blocks: Block[] = [];
    for (let byteOffset = from; byteOffset < to; byteOffset += step) {
      const byteLength = Math.min(step, to - byteOffset);
      const start = Math.floor(byteOffset / rowByteLength);
      const end = Math.ceil((byteOffset + byteLength) / rowByteLength);
      // Pieces of a row are copied or predicted byte by byte.
      const baseOffset = rule.kind === 'computed' ? start * base.rowByteLength : byteOffset;
      const length = rule.kind === 'computed' ? (end - start) * base.rowByteLength : byteLength;
      const baseLength = rule.needsBase && rule.kind !== 'invalid' ? length : 0;
      blocks.push({
        start,
        end,
        byteOffset,
        byteLength,
        baseOffset,
        baseLength,
        chain: isChain ? rule.start : undefined,
      });
    }
    return blocks;
  }

  #blockError({ start, end }: Block, { exact }: Rule): CodecError {
    const { tensor, archive } = this.#input;
    return new CodecError(
      exact?.codec ?? 'none',
      `${archive}, tensor "${tensor.name}": rows ${start} to ${end} ${exact === undefined ? 'are not coded' : 'are not in the base'}`,
    );
  }
}

/** Rows of a block that its only term adds to the base by itself. */
function addAndRoundAlone(
  { additive }: Rule,
  { start, end }: Block,
  dtype: FloatDtype,
  base: Uint8Array,
  out: Uint8Array,
): number {
  const [term] = additive;
  if (term === undefined || additive.length > 1) return 0;
  return term.decoder.addAndRound?.(dtype, start - term.start, end - start, base, out) ?? 0;
}

/** Rows of a residual block: whole tiles of products where they fit, as a tile takes as long with fewer rows. */
function partRows(columns: number): number {
  const rows = Math.max(PRODUCT_ROWS, Math.floor(RESIDUAL_BLOCK / columns));
  const whole = rows - (rows % PRODUCT_ROWS);
  return whole * columns <= MAX_RESIDUAL_BLOCK
    ? whole
    : Math.max(1, Math.floor(MAX_RESIDUAL_BLOCK / columns));
}

function roundWithValues(
  kernels: DecodeKernels,
  dtype: FloatDtype,
  baseDtype: FloatDtype,
  base: Uint8Array,
  residual: Float32Array,
  out: Uint8Array,
  values: Float32Array,
): void {
  const part = values.subarray(0, residual.length);
  kernels.addAndRound(
    'F32',
    baseDtype,
    base,
    residual,
    new Uint8Array(part.buffer, part.byteOffset, part.byteLength),
  );
  kernels.fromFloat32(dtype, part, out);
}

/** Row ranges in order that no border lies inside. */
function rowRanges(rows: number, borders: readonly number[]): [number, number][] {
  const ends = [...new Set([...borders, rows])].filter((end) => end > 0 && end <= rows).sort((x, y) => x - y);
  return ends.map((end, i) => [ends[i - 1] ?? 0, end]);
}

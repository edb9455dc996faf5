/**
 * Rows of one tensor from its terms (docs/spec/codecs.md §1): base + Σ additive terms in float32, rounded
 * once, and exact terms over that in their order. Nothing larger than the rows asked for is held besides
 * what the codecs keep.
 */
import {
  DTYPES,
  type Dtype,
  elementCount,
  type FloatDtype,
  isFloatDtype,
  tensorByteLength,
} from '../../formats/dtype.js';
import type { ArchiveTensor, ArchiveTerm } from '../../formats/ere/archive-index.js';
import { CodecError, UnsupportedError } from '../../formats/errors.js';
import type { AdditiveDecoder, ExactDecoder, TermContext, TermDecoder } from '../codecs/codec.js';
import { CODECS } from '../codecs/registry.js';
import type { Runtime } from './runtime.js';

/** What is decoded: the parts of an ArchiveTensor that matter, so that an encoder can decode before the archive exists. */
export type DecodableTensor = Pick<ArchiveTensor, 'name' | 'dtype' | 'shape' | 'columns' | 'terms'> & {
  readonly base?: Omit<NonNullable<ArchiveTensor['base']>, 'digest'>;
};

export interface TensorDecoderInput {
  readonly tensor: DecodableTensor;
  /** Name of the archive, for messages. */
  readonly archive: string;
  /** Chunk by its number in `terms[].chunks`. */
  readonly readChunk: (chunk: number) => Promise<Uint8Array>;
  readonly runtime: Pick<Runtime, 'kernels'>;
}

/** How the base tensor's bytes divide into rows of the matrix view. */
export interface BaseRows {
  readonly dtype: Dtype;
  readonly rowCount: number;
  readonly rowByteLength: number;
  /** Of the whole base tensor. */
  readonly byteLength: number;
}

export interface TensorDecoder {
  readonly rowCount: number;
  readonly columns: number;
  readonly rowByteLength: number;
  readonly base: BaseRows;
  /**
   * Bytes of rows [start, end), in a buffer of their own. Rows are asked for in ascending order.
   * @param base the base's bytes of those of the rows that it has
   * @throws CodecError
   */
  decodeRows(start: number, end: number, base: Uint8Array): Promise<Uint8Array>;
  close(): void;
}

interface OpenTerm<Decoder extends TermDecoder = TermDecoder> {
  readonly start: number;
  readonly end: number;
  readonly codec: string;
  readonly decoder: Decoder;
}

/** @throws CodecError, UnsupportedError */
export async function openTensorDecoder(input: TensorDecoderInput): Promise<TensorDecoder> {
  const { tensor } = input;
  const elements = elementCount(tensor.shape);
  const isWholeBytes = Number.isInteger((tensor.columns * DTYPES[tensor.dtype].bits) / 8);
  // Packed rows that share bytes over their ends can only be copied: as one row.
  const columns = isWholeBytes || tensor.terms.length > 0 ? tensor.columns : elements;
  const rowCount = columns === 0 ? 0 : elements / columns;
  const rowByteLength = (columns * DTYPES[tensor.dtype].bits) / 8;
  const terms = await openTerms(input, rowCount, rowByteLength);
  return new RowDecoder(input, { rowCount, columns, rowByteLength }, baseRows(tensor, columns), terms);
}

function baseRows({ base, dtype: ownDtype, shape: ownShape }: DecodableTensor, columns: number): BaseRows {
  const dtype = base?.dtype ?? ownDtype;
  if (base === undefined) return { dtype, rowCount: 0, rowByteLength: 0, byteLength: 0 };
  const byteLength = tensorByteLength(dtype, base.shape ?? ownShape) ?? 0;
  const rowByteLength = (columns * DTYPES[dtype].bits) / 8;
  const isWhole = Number.isInteger(rowByteLength) && rowByteLength > 0;
  return { dtype, rowCount: isWhole ? Math.floor(byteLength / rowByteLength) : 0, rowByteLength, byteLength };
}

async function openTerms(
  input: TensorDecoderInput,
  rowCount: number,
  rowByteLength: number,
): Promise<OpenTerm[]> {
  const { tensor, archive, runtime } = input;
  const subject = `${archive}, tensor "${tensor.name}"`;
  const terms: OpenTerm[] = [];
  try {
    for (const term of tensor.terms) {
      const codec = CODECS.get(term.codec);
      if (codec === undefined)
        throw new UnsupportedError(`codec "${term.codec}"`, `${subject}: unknown codec "${term.codec}"`);
      const [start, end] = term.rows ?? [0, rowCount];
      const context: TermContext = {
        term,
        subject,
        rowCount: end - start,
        columns: tensor.columns,
        dtype: tensor.dtype,
        rowByteLength,
        kernels: runtime.kernels,
        chunk: async (i) => (i < term.chunks.length ? input.readChunk(term.chunks[i]!) : undefined),
      };
      const decoder = await codec.open(context);
      const isAfterExact = terms.some((earlier) => earlier.decoder.kind === 'exact');
      terms.push({ start, end, codec: term.codec, decoder });
      const problem = findProblem(term, decoder, tensor, rowByteLength, isAfterExact);
      if (problem !== undefined) throw new CodecError(term.codec, `${subject}: ${problem}`);
    }
  } catch (error) {
    for (const term of terms) term.decoder.close();
    throw error;
  }
  return terms;
}

/** Why a term cannot stand where it does; undefined where it can. */
function findProblem(
  term: ArchiveTerm,
  decoder: TermDecoder,
  tensor: DecodableTensor,
  rowByteLength: number,
  isAfterExact: boolean,
): string | undefined {
  const baseDtype = tensor.base?.dtype ?? tensor.dtype;
  if (decoder.kind === 'additive') {
    if (!isFloatDtype(tensor.dtype) || !isFloatDtype(baseDtype))
      return `an additive term needs a float tensor, found ${tensor.dtype} on ${baseDtype}`;
    return isAfterExact ? 'expected additive terms before exact ones, found one behind' : undefined;
  }
  if (!Number.isInteger(rowByteLength))
    return `rows of ${tensor.columns} ${tensor.dtype} are not whole bytes`;
  if (term.missing !== undefined)
    return `an exact term cannot leave out chunks, found ${term.missing} missing`;
  if (decoder.prediction === 'base' && (tensor.base === undefined || baseDtype !== tensor.dtype))
    return `the term needs a base tensor of dtype ${tensor.dtype}`;
  return undefined;
}

class RowDecoder implements TensorDecoder {
  readonly rowCount: number;
  readonly columns: number;
  readonly rowByteLength: number;
  readonly base: BaseRows;
  readonly #input: TensorDecoderInput;
  readonly #additive: readonly OpenTerm<AdditiveDecoder>[];
  readonly #exact: readonly OpenTerm<ExactDecoder>[];

  constructor(
    input: TensorDecoderInput,
    view: Pick<TensorDecoder, 'rowCount' | 'columns' | 'rowByteLength'>,
    base: BaseRows,
    terms: readonly OpenTerm[],
  ) {
    this.rowCount = view.rowCount;
    this.columns = view.columns;
    this.rowByteLength = view.rowByteLength;
    this.base = base;
    this.#input = input;
    this.#additive = terms.filter((term) => isAdditive(term));
    this.#exact = terms.filter((term) => !isAdditive(term)) as OpenTerm<ExactDecoder>[];
  }

  async decodeRows(start: number, end: number, base: Uint8Array): Promise<Uint8Array> {
    const out = new Uint8Array((end - start) * this.rowByteLength);
    for (const [from, to] of this.#runs(start, end)) {
      const hasBase = to <= this.base.rowCount;
      await this.#decodeRun(
        from,
        to,
        hasBase ? bytesOfRows(base, from - start, to - start, this.base.rowByteLength) : undefined,
        bytesOfRows(out, from - start, to - start, this.rowByteLength),
      );
    }
    return out;
  }

  close(): void {
    for (const { decoder } of [...this.#additive, ...this.#exact]) decoder.close();
  }

  /** Cuts rows into runs that the same terms cover, and that the base has or lacks as a whole. */
  #runs(start: number, end: number): [number, number][] {
    const bounds = [this.base.rowCount];
    for (const term of [...this.#additive, ...this.#exact]) bounds.push(term.start, term.end);
    const inside = bounds.filter((bound) => bound > start && bound < end);
    const cuts = [...new Set([start, ...inside, end])].sort((x, y) => x - y);
    return cuts.slice(1).map((to, i) => [cuts[i]!, to]);
  }

  async #decodeRun(start: number, end: number, base: Uint8Array | undefined, out: Uint8Array): Promise<void> {
    const covers = (term: OpenTerm): boolean => term.start <= start && term.end >= end;
    const exact = this.#exact.filter(covers);
    // A term that needs nothing of those before it hides them.
    const first = exact.findLastIndex(({ decoder }) => decoder.prediction !== 'reconstruction');
    if (first === -1) await this.#reconstruct(start, end, base, this.#additive.filter(covers), out);
    for (const { decoder, start: termStart, codec } of exact.slice(Math.max(0, first))) {
      if (decoder.prediction === 'base' && base === undefined)
        throw this.#error(codec, `rows ${start} to ${end} are not in the base`);
      const prediction = { none: undefined, base, reconstruction: out.slice() }[decoder.prediction];
      await decoder.decode(start - termStart, end - start, prediction, out);
    }
  }

  /** The rows without exact terms: the base's own bytes, or base + Σ terms. */
  async #reconstruct(
    start: number,
    end: number,
    base: Uint8Array | undefined,
    additive: readonly OpenTerm<AdditiveDecoder>[],
    out: Uint8Array,
  ): Promise<void> {
    const { dtype } = this.#input.tensor;
    if (additive.length === 0 && base !== undefined && this.base.dtype === dtype) {
      out.set(base); // No arithmetic, so NaN payloads and −0 survive.
      return;
    }
    if (!isFloatDtype(dtype) || !isFloatDtype(this.base.dtype))
      throw this.#error('none', `rows ${start} to ${end} are not coded`);
    const elements = (end - start) * this.columns;
    // Sums start at +0. Without a term the value is the base's own, and only x + (−0) is x for every x.
    const residual = new Float32Array(elements).fill(additive.length === 0 ? -0 : 0);
    for (const { decoder, start: termStart } of additive) {
      await decoder.accumulate(start - termStart, end - start, residual);
    }
    const baseDtype: FloatDtype = this.base.dtype;
    const operand = base ?? new Uint8Array((elements * DTYPES[baseDtype].bits) / 8);
    this.#input.runtime.kernels.addAndRound(dtype, baseDtype, operand, residual, out);
  }

  #error(codec: string, message: string): CodecError {
    return new CodecError(codec, `${this.#input.archive}, tensor "${this.#input.tensor.name}": ${message}`);
  }
}

function isAdditive(term: OpenTerm): term is OpenTerm<AdditiveDecoder> {
  return term.decoder.kind === 'additive';
}

function bytesOfRows(bytes: Uint8Array, start: number, end: number, rowByteLength: number): Uint8Array {
  return bytes.subarray(start * rowByteLength, end * rowByteLength);
}

/**
 * The bytes of one tensor, piece after piece (docs/spec/codecs.md §1): per row the bytes of exact terms, the
 * base's bytes, or base + Σ terms in float32. Nothing larger than a block is held besides what codecs keep.
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
import {
  type AdditiveDecoder,
  type ExactDecoder,
  PIECE_BYTE_LENGTH,
  type PredictedRows,
  type TermDecoder,
} from '../codecs/codec.js';
import { CODECS } from '../codecs/registry.js';
import { blockRows, type ReadTensor, type Runtime } from './runtime.js';

/** What is decoded: the parts of an ArchiveTensor that matter, so that an encoder can decode before the archive exists. */
export type DecodableTensor = Pick<ArchiveTensor, 'name' | 'dtype' | 'shape' | 'columns' | 'terms'> & {
  readonly base?: Omit<NonNullable<ArchiveTensor['base']>, 'digest'>;
};

export interface TensorPiecesInput {
  readonly tensor: DecodableTensor;
  /** Name of the archive, for messages. */
  readonly archive: string;
  /** Chunk by its number in `terms[].chunks`; undefined when it lies behind the cut of a truncated archive. */
  readonly readChunk: (chunk: number) => Promise<Uint8Array | undefined>;
  /** Absent for added tensors. Called in ascending order, for every byte at most once. */
  readonly readBase?: ReadTensor;
  readonly runtime: Pick<Runtime, 'kernels'>;
  /** Give computed rows with their float32 values where these say more; default false. */
  readonly withValues?: boolean;
}

/** Bytes of the tensor; valid until the next piece is asked for. */
export interface TensorPiece extends PredictedRows {
  readonly byteOffset: number;
}

interface OpenTerm<Decoder extends TermDecoder = TermDecoder> {
  readonly start: number;
  readonly end: number;
  readonly codec: string;
  readonly decoder: Decoder;
}

/**
 * Decodes a tensor in ascending order, without gaps.
 * @throws CodecError, UnsupportedError
 */
export async function* tensorPieces(input: TensorPiecesInput): AsyncGenerator<TensorPiece, void, void> {
  const { tensor } = input;
  const elements = elementCount(tensor.shape);
  const isWholeBytes = Number.isInteger((tensor.columns * DTYPES[tensor.dtype].bits) / 8);
  // Packed rows that share bytes over their ends can only be copied: as one row.
  const columns = isWholeBytes || tensor.terms.length > 0 ? tensor.columns : elements;
  const rows = elements / columns;
  const rowByteLength = (columns * DTYPES[tensor.dtype].bits) / 8;
  const layout = baseLayout(input, columns);
  const terms = await openTerms(input, rows, rowByteLength);
  try {
    const borders = [layout.rows, ...terms.flatMap(({ start, end }) => [start, end])];
    for (const [start, end] of rowBlocks(rows, blockRows(columns), borders)) {
      const covering = terms.filter((term) => term.start <= start && term.end >= end);
      yield* blockPieces({ input, layout, columns, rowByteLength, start, end, terms: covering });
    }
  } finally {
    for (const term of terms) term.decoder.close();
  }
}

/** Row ranges of at most `step` rows, in order, that no border lies inside: one rule holds for all rows of a block. */
function* rowBlocks(rows: number, step: number, borders: readonly number[]): Generator<[number, number]> {
  const ends = [...new Set([...borders, rows])].filter((end) => end > 0 && end <= rows);
  ends.sort((x, y) => x - y);
  let start = 0;
  for (const end of ends) {
    for (; start < end; start = Math.min(end, start + step)) yield [start, Math.min(end, start + step)];
  }
}

interface BaseLayout {
  readonly dtype: Dtype;
  readonly rows: number;
  readonly rowByteLength: number;
}

function baseLayout({ tensor, readBase }: TensorPiecesInput, columns: number): BaseLayout {
  const dtype = tensor.base?.dtype ?? tensor.dtype;
  const rowByteLength = (columns * DTYPES[dtype].bits) / 8;
  const byteLength =
    readBase === undefined ? 0 : (tensorByteLength(dtype, tensor.base?.shape ?? tensor.shape) ?? 0);
  const rows =
    Number.isInteger(rowByteLength) && rowByteLength > 0 ? Math.floor(byteLength / rowByteLength) : 0;
  return { dtype, rows, rowByteLength };
}

async function openTerms(input: TensorPiecesInput, rows: number, rowByteLength: number): Promise<OpenTerm[]> {
  const { tensor, archive, runtime } = input;
  const subject = `${archive}, tensor "${tensor.name}"`;
  const terms: OpenTerm[] = [];
  try {
    for (const term of tensor.terms) {
      const codec = CODECS.get(term.codec);
      if (codec === undefined)
        throw new UnsupportedError(`codec "${term.codec}"`, `${subject}: unknown codec "${term.codec}"`);
      const [start, end] = term.rows ?? [0, rows];
      const decoder = await codec.open({
        term,
        subject,
        rowCount: end - start,
        columns: tensor.columns,
        dtype: tensor.dtype,
        rowByteLength,
        kernels: runtime.kernels,
        chunk: async (i) => (i < term.chunks.length ? input.readChunk(term.chunks[i]!) : undefined),
      });
      terms.push({ start, end, codec: term.codec, decoder });
      const problem = findProblem(term, decoder, tensor, rowByteLength);
      if (problem !== undefined) throw new CodecError(term.codec, `${subject}: ${problem}`);
    }
    const hidden = terms.find((term, i) => terms.slice(i + 1).some((later) => hides(later, term)));
    if (hidden !== undefined) {
      throw new CodecError(hidden.codec, `${subject}: a later exact term hides rows that the rest needs`);
    }
  } catch (error) {
    for (const term of terms) term.decoder.close();
    throw error;
  }
  return terms;
}

/** Whether rows of `term` would not be decoded though those behind them need it. */
function hides(later: OpenTerm, { start, end, decoder }: OpenTerm): boolean {
  return (
    decoder.kind === 'exact' &&
    decoder.isSequential &&
    later.decoder.kind === 'exact' &&
    later.decoder.prediction !== 'reconstruction' &&
    later.start < end &&
    later.end > start
  );
}

/** Why a term cannot stand where it does; undefined where it can. */
function findProblem(
  term: ArchiveTerm,
  decoder: TermDecoder,
  tensor: DecodableTensor,
  rowByteLength: number,
): string | undefined {
  const baseDtype = tensor.base?.dtype ?? tensor.dtype;
  if (decoder.kind === 'additive') {
    if (isFloatDtype(tensor.dtype) && isFloatDtype(baseDtype)) return undefined;
    return `an additive term needs a float tensor, found ${tensor.dtype} on ${baseDtype}`;
  }
  if (!Number.isInteger(rowByteLength))
    return `rows of ${tensor.columns} ${tensor.dtype} are not whole bytes`;
  if (term.missing !== undefined)
    return `an exact term cannot leave out chunks, found ${term.missing} missing`;
  if (decoder.prediction === 'base' && (tensor.base === undefined || baseDtype !== tensor.dtype))
    return `the term needs a base tensor of dtype ${tensor.dtype}`;
  return undefined;
}

/** Rows [start, end), all of them covered by the same terms, and all or none of them in the base. */
interface Block {
  readonly input: TensorPiecesInput;
  readonly layout: BaseLayout;
  readonly columns: number;
  readonly rowByteLength: number;
  readonly start: number;
  readonly end: number;
  readonly terms: readonly OpenTerm[];
}

async function* blockPieces(block: Block): AsyncGenerator<TensorPiece, void, void> {
  const { terms, start } = block;
  // A term that needs nothing of those before it hides them; exact ones behind it stand on top of it.
  const first = terms.findLastIndex((term) => isExact(term) && term.decoder.prediction !== 'reconstruction');
  const onTop = terms.slice(first + 1).filter(isExact);
  const below = onTop.length === 0 ? terms : terms.slice(0, terms.indexOf(onTop[0]!));
  const pieces =
    first === -1
      ? reconstructedPieces(block, below.filter(isAdditive), onTop.length > 0)
      : bytePieces(block, terms[first] as OpenTerm<ExactDecoder>);
  if (onTop.length === 0) {
    yield* pieces;
    return;
  }
  const byteOffset = start * block.rowByteLength;
  let rows = await wholeBlock(block, pieces);
  for (const term of onTop) {
    const out = new Uint8Array(rows.bytes.byteLength);
    await term.decoder.decode(byteOffset - term.start * block.rowByteLength, rows, out);
    rows = { bytes: out };
  }
  yield { byteOffset, bytes: rows.bytes };
}

async function wholeBlock(
  { start, end, rowByteLength }: Block,
  pieces: AsyncIterable<TensorPiece>,
): Promise<PredictedRows> {
  const bytes = new Uint8Array((end - start) * rowByteLength);
  for await (const piece of pieces) {
    if (piece.bytes.byteLength === bytes.byteLength) return { bytes: piece.bytes, values: piece.values };
    bytes.set(piece.bytes, piece.byteOffset - start * rowByteLength);
  }
  return { bytes };
}

/** The rows without exact terms: the base's very bytes, so that NaN payloads and −0 survive, or base + Σ terms. */
async function* reconstructedPieces(
  block: Block,
  additive: readonly OpenTerm<AdditiveDecoder>[],
  isPrediction: boolean,
): AsyncGenerator<TensorPiece, void, void> {
  const { input, layout, start, end } = block;
  const { dtype } = input.tensor;
  const inBase = end <= layout.rows;
  if (additive.length === 0 && inBase && layout.dtype === dtype) {
    yield* bytePieces(block, undefined);
  } else if ((additive.length > 0 || inBase) && isFloatDtype(dtype) && isFloatDtype(layout.dtype)) {
    const [baseOffset, baseLength] = [start * layout.rowByteLength, (end - start) * layout.rowByteLength];
    const base = inBase ? await input.readBase!(baseOffset, baseLength) : new Uint8Array(baseLength);
    const withValues = isPrediction || input.withValues === true;
    const rows = await computeRows(block, base, additive, withValues);
    yield { byteOffset: start * block.rowByteLength, ...rows };
  } else {
    throw blockError(block, 'none', 'are not coded');
  }
}

/** Rows of an exact term that stands by itself, or the base's bytes. Rows may be any size. */
async function* bytePieces(
  block: Block,
  exact: OpenTerm<ExactDecoder> | undefined,
): AsyncGenerator<TensorPiece, void, void> {
  const { input, layout, rowByteLength, start, end } = block;
  const needsBase = exact === undefined || exact.decoder.prediction === 'base';
  const step = Math.max(1, Math.floor(PIECE_BYTE_LENGTH / rowByteLength)) * rowByteLength;
  const pieceByteLength = rowByteLength > PIECE_BYTE_LENGTH ? PIECE_BYTE_LENGTH : step;
  if (needsBase && end > layout.rows) throw blockError(block, exact?.codec ?? 'none', 'are not in the base');
  for (let offset = start * rowByteLength; offset < end * rowByteLength; offset += pieceByteLength) {
    const length = Math.min(pieceByteLength, end * rowByteLength - offset);
    const base = needsBase ? await input.readBase!(offset, length) : undefined;
    if (exact === undefined) {
      yield { byteOffset: offset, bytes: base! };
    } else {
      const piece = new Uint8Array(length);
      await exact.decoder.decode(
        offset - exact.start * rowByteLength,
        base === undefined ? undefined : { bytes: base },
        piece,
      );
      yield { byteOffset: offset, bytes: piece };
    }
  }
}

async function computeRows(
  { input, layout, columns, rowByteLength, start, end }: Block,
  base: Uint8Array,
  additive: readonly OpenTerm<AdditiveDecoder>[],
  withValues: boolean,
): Promise<PredictedRows> {
  const { tensor, runtime } = input;
  // Sums start at +0. Without a term the value is the base's own, and only x + (−0) is x for every x.
  const residual = new Float32Array((end - start) * columns).fill(additive.length === 0 ? -0 : 0);
  for (const term of additive) await term.decoder.accumulate(start - term.start, end - start, residual);
  const out = new Uint8Array((end - start) * rowByteLength);
  const [dtype, baseDtype] = [tensor.dtype as FloatDtype, layout.dtype as FloatDtype];
  if (!withValues || DTYPES[dtype].bits >= 32) {
    runtime.kernels.addAndRound(dtype, baseDtype, base, residual, out);
    return { bytes: out };
  }
  const values = new Float32Array(residual.length);
  runtime.kernels.addAndRound('F32', baseDtype, base, residual, new Uint8Array(values.buffer));
  runtime.kernels.fromFloat32(dtype, values, out);
  return { bytes: out, values };
}

function isAdditive(term: OpenTerm): term is OpenTerm<AdditiveDecoder> {
  return term.decoder.kind === 'additive';
}

function isExact(term: OpenTerm): term is OpenTerm<ExactDecoder> {
  return term.decoder.kind === 'exact';
}

function blockError({ input, start, end }: Block, codec: string, message: string): CodecError {
  return new CodecError(
    codec,
    `${input.archive}, tensor "${input.tensor.name}": rows ${start} to ${end} ${message}`,
  );
}

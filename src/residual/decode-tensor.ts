/**
 * Rebuilds one tensor block by block (docs/spec/codecs.md §1): per row the bytes of an exact term, the
 * base's bytes, or base + Σ terms in float32. Every byte of the base tensor is hashed on the way, as is
 * every byte that is given out. Nothing larger than a block is held besides the factors.
 */
import {
  DTYPES,
  type Dtype,
  elementCount,
  type FloatDtype,
  isFloatDtype,
  tensorByteLength,
} from '../../formats/dtype.js';
import type { ArchiveTensor, ArchiveTerm, Digest } from '../../formats/ere/archive-index.js';
import { CodecError, UnsupportedError } from '../../formats/errors.js';
import type { AdditiveDecoder, ExactDecoder, TermDecoder } from '../codecs/codec.js';
import { CODECS } from '../codecs/registry.js';
import { blockRows, type ReadTensor, type Runtime } from './runtime.js';

/** What is decoded: the parts of an ArchiveTensor that matter, so that an encoder can decode before the archive exists. */
export type DecodableTensor = Pick<ArchiveTensor, 'name' | 'dtype' | 'shape' | 'columns' | 'terms'> & {
  readonly base?: Omit<NonNullable<ArchiveTensor['base']>, 'digest'>;
};

export interface DecodeTensorInput {
  readonly tensor: DecodableTensor;
  /** Name of the archive, for messages. */
  readonly archive: string;
  /** Chunk by its number in `terms[].chunks`; undefined when it lies behind the cut of a truncated archive. */
  readonly readChunk: (chunk: number) => Promise<Uint8Array | undefined>;
  /** Absent for added tensors. */
  readonly readBase?: ReadTensor;
  /** Receives the decoded bytes in order; must not keep `bytes`. */
  readonly write: (byteOffset: number, bytes: Uint8Array) => void | Promise<void>;
  readonly runtime: Runtime;
}

export interface DecodedDigests {
  readonly decoded: Digest;
  /** Absent without a base. */
  readonly base?: Digest;
}

interface OpenTerm {
  readonly start: number;
  readonly end: number;
  readonly decoder: TermDecoder;
}

/** @throws CodecError, UnsupportedError; digests are the caller's to compare. */
export async function decodeTensor(input: DecodeTensorInput): Promise<DecodedDigests> {
  const { tensor, readBase, runtime } = input;
  const { dtype, columns } = tensor;
  const rows = elementCount(tensor.shape) / columns;
  const layout = baseLayout(input, columns);
  const rowByteLength = (columns * DTYPES[dtype].bits) / 8;
  const terms = await openTerms(input, rows, rowByteLength);
  const decodedHash = runtime.createHasher();
  const baseHash = readBase === undefined ? undefined : runtime.createHasher();
  const work: Work = {
    input,
    layout,
    rowByteLength,
    readHashed: async (offset, length) => {
      const bytes = await readBase!(offset, length);
      baseHash!.update(bytes);
      return bytes;
    },
    give: async (offset, bytes) => {
      decodedHash.update(bytes);
      await input.write(offset, bytes);
    },
  };
  try {
    const borders = [layout.rows, ...terms.flatMap(({ start, end }) => [start, end])];
    for (const [start, end] of rowBlocks(rows, blockRows(columns), borders)) {
      const covering = terms.filter((term) => term.start <= start && term.end >= end);
      await decodeBlock(work, start, end, covering);
    }
    // Base bytes behind the rows that were used: they belong to the digest all the same.
    await readThrough(work, Math.min(rows, layout.rows) * layout.rowByteLength, layout.byteLength);
  } finally {
    for (const term of terms) term.decoder.close();
  }
  return { decoded: decodedHash.digest(), ...(baseHash === undefined ? {} : { base: baseHash.digest() }) };
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
  readonly byteLength: number;
}

function baseLayout({ tensor, readBase }: DecodeTensorInput, columns: number): BaseLayout {
  const dtype = tensor.base?.dtype ?? tensor.dtype;
  const rowByteLength = (columns * DTYPES[dtype].bits) / 8;
  if (readBase === undefined) return { dtype, rows: 0, rowByteLength, byteLength: 0 };
  const shape = tensor.base?.shape ?? tensor.shape;
  const byteLength = tensorByteLength(dtype, shape) ?? 0;
  const rows =
    Number.isInteger(rowByteLength) && rowByteLength > 0 ? Math.floor(byteLength / rowByteLength) : 0;
  return { dtype, rows, rowByteLength, byteLength };
}

async function openTerms(input: DecodeTensorInput, rows: number, rowByteLength: number): Promise<OpenTerm[]> {
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
        rowByteLength,
        kernels: runtime.kernels,
        chunk: (i) => input.readChunk(term.chunks[i]!),
      });
      terms.push({ start, end, decoder });
      assertTermFits(term, decoder, tensor, subject, rowByteLength);
    }
  } catch (error) {
    for (const term of terms) term.decoder.close();
    throw error;
  }
  return terms;
}

function assertTermFits(
  term: ArchiveTerm,
  decoder: TermDecoder,
  tensor: DecodableTensor,
  subject: string,
  rowByteLength: number,
): void {
  const baseDtype = tensor.base?.dtype ?? tensor.dtype;
  if (decoder.kind === 'additive') {
    if (!isFloatDtype(tensor.dtype) || !isFloatDtype(baseDtype)) {
      throw new CodecError(
        term.codec,
        `${subject}: an additive term needs a float tensor, found ${tensor.dtype} on ${baseDtype}`,
      );
    }
  } else if (!Number.isInteger(rowByteLength)) {
    throw new CodecError(
      term.codec,
      `${subject}: rows of ${tensor.columns} ${tensor.dtype} are not whole bytes`,
    );
  } else if (decoder.needsBase && (tensor.base === undefined || baseDtype !== tensor.dtype)) {
    throw new CodecError(term.codec, `${subject}: the term needs a base tensor of dtype ${tensor.dtype}`);
  }
}

/** One decode in progress. */
interface Work {
  readonly input: DecodeTensorInput;
  readonly layout: BaseLayout;
  readonly rowByteLength: number;
  /** Reads base bytes into the base's digest; called in ascending order. Only with a base. */
  readonly readHashed: ReadTensor;
  /** Gives out decoded bytes, in ascending order. */
  readonly give: (byteOffset: number, bytes: Uint8Array) => Promise<void>;
}

/** Bytes read or given out at a time where no arithmetic needs whole rows; a multiple of every word. */
const PIECE_BYTE_LENGTH = 4 << 20;

/** Rows [start, end), all of them covered by the same terms, and all or none of them in the base. */
async function decodeBlock(
  work: Work,
  start: number,
  end: number,
  terms: readonly OpenTerm[],
): Promise<void> {
  const { tensor, archive } = work.input;
  const { layout } = work;
  const inBase = end <= layout.rows;
  const exact = terms.findLast((term) => term.decoder.kind === 'exact');
  const additive = terms.filter((term) => term.decoder.kind === 'additive');
  if (exact !== undefined || (additive.length === 0 && inBase && layout.dtype === tensor.dtype)) {
    await giveBytes(work, start, end, exact);
  } else if ((additive.length > 0 || inBase) && isFloatDtype(tensor.dtype) && isFloatDtype(layout.dtype)) {
    const base = inBase
      ? await work.readHashed(start * layout.rowByteLength, (end - start) * layout.rowByteLength)
      : new Uint8Array((end - start) * layout.rowByteLength);
    const block = await computeRows(work, start, end, base, additive);
    await work.give(start * work.rowByteLength, block);
  } else {
    throw new CodecError(
      'none',
      `${archive}, tensor "${tensor.name}": rows ${start} to ${end} are not coded`,
    );
  }
}

/** Rows of an exact term, or the base's very bytes, so that NaN payloads and −0 survive. Rows may be any size. */
async function giveBytes(work: Work, start: number, end: number, exact: OpenTerm | undefined): Promise<void> {
  const { input, layout, rowByteLength } = work;
  const decoder = exact?.decoder as ExactDecoder | undefined;
  const inBase = end <= layout.rows;
  if (decoder?.needsBase && !inBase) {
    const rows = `rows ${start} to ${end}`;
    throw new CodecError(
      'bytes',
      `${input.archive}, tensor "${input.tensor.name}": ${rows} are not in the base`,
    );
  }
  const sameBytes = inBase && layout.dtype === input.tensor.dtype;
  for (let offset = start * rowByteLength; offset < end * rowByteLength; offset += PIECE_BYTE_LENGTH) {
    const length = Math.min(PIECE_BYTE_LENGTH, end * rowByteLength - offset);
    const base = sameBytes ? await work.readHashed(offset, length) : undefined;
    if (decoder === undefined) {
      await work.give(offset, base!);
    } else {
      const piece = new Uint8Array(length);
      await decoder.decode(
        offset - exact!.start * rowByteLength,
        decoder.needsBase ? base : undefined,
        piece,
      );
      await work.give(offset, piece);
    }
  }
  if (inBase && !sameBytes) await readThrough(work, start * layout.rowByteLength, end * layout.rowByteLength);
}

/** Brings base bytes that nothing else reads into the base's digest. */
async function readThrough(work: Work, start: number, end: number): Promise<void> {
  for (let offset = start; offset < end; offset += PIECE_BYTE_LENGTH) {
    await work.readHashed(offset, Math.min(PIECE_BYTE_LENGTH, end - offset));
  }
}

async function computeRows(
  work: Work,
  start: number,
  end: number,
  base: Uint8Array,
  additive: readonly OpenTerm[],
): Promise<Uint8Array> {
  const { tensor, runtime } = work.input;
  // Sums start at +0. Without a term the value is the base's own, and only x + (−0) is x for every x.
  const residual = new Float32Array((end - start) * tensor.columns).fill(additive.length === 0 ? -0 : 0);
  for (const term of additive) {
    await (term.decoder as AdditiveDecoder).accumulate(start - term.start, end - start, residual);
  }
  const out = new Uint8Array((end - start) * work.rowByteLength);
  const baseDtype = work.layout.dtype as FloatDtype;
  runtime.kernels.addAndRound(tensor.dtype as FloatDtype, baseDtype, base, residual, out);
  return out;
}

/**
 * Rebuilds one tensor block by block (docs/spec/codecs.md §1): per row, base + Σ terms in float32,
 * or the bytes of an exact term. Every byte of the base tensor is hashed on the way, as is every
 * byte that is given out. Nothing larger than a block is held besides the factors.
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
  const { tensor, readBase, runtime, write } = input;
  const { dtype, columns } = tensor;
  const rows = columns === 0 ? 0 : elementCount(tensor.shape) / columns;
  const layout = baseLayout(input, columns);
  const rowByteLength = (columns * DTYPES[dtype].bits) / 8;
  const terms = await openTerms(input, rows, rowByteLength);
  const decodedHash = runtime.createHasher();
  const baseHash = readBase === undefined ? undefined : runtime.createHasher();
  try {
    const step = blockRows(columns);
    for (let start = 0; start < rows; start += step) {
      const end = Math.min(rows, start + step);
      const baseEnd = Math.max(start, Math.min(end, layout.rows));
      const base =
        readBase !== undefined && baseEnd > start
          ? await readBase(start * layout.rowByteLength, (baseEnd - start) * layout.rowByteLength)
          : new Uint8Array(0);
      baseHash?.update(base);
      const block = await decodeBlock(input, terms, {
        start,
        end,
        baseEnd,
        base,
        baseDtype: layout.dtype,
        rowByteLength,
      });
      decodedHash.update(block);
      await write(start * rowByteLength, block);
    }
    if (readBase !== undefined && baseHash !== undefined) await hashRest(readBase, baseHash, layout, rows);
  } finally {
    for (const term of terms) term.decoder.close();
  }
  return { decoded: decodedHash.digest(), ...(baseHash === undefined ? {} : { base: baseHash.digest() }) };
}

interface BaseLayout {
  readonly dtype: Dtype;
  readonly rows: number;
  readonly rowByteLength: number;
  readonly byteLength: number;
}

function baseLayout({ tensor, readBase }: DecodeTensorInput, columns: number): BaseLayout {
  const dtype = tensor.base?.dtype ?? tensor.dtype;
  if (readBase === undefined) return { dtype, rows: 0, rowByteLength: 0, byteLength: 0 };
  const shape = tensor.base?.shape ?? tensor.shape;
  const byteLength = tensorByteLength(dtype, shape) ?? 0;
  const rowByteLength = (columns * DTYPES[dtype].bits) / 8;
  const rows =
    Number.isInteger(rowByteLength) && rowByteLength > 0 ? Math.floor(byteLength / rowByteLength) : 0;
  return { dtype, rows, rowByteLength, byteLength };
}

/** Base bytes behind the rows that were used: they belong to the digest all the same. */
async function hashRest(
  readBase: ReadTensor,
  hash: { update(bytes: Uint8Array): void },
  layout: BaseLayout,
  usedRows: number,
): Promise<void> {
  const piece = 4 << 20;
  for (
    let offset = Math.min(usedRows, layout.rows) * layout.rowByteLength;
    offset < layout.byteLength;
    offset += piece
  ) {
    hash.update(await readBase(offset, Math.min(piece, layout.byteLength - offset)));
  }
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

interface Block {
  readonly start: number;
  readonly end: number;
  /** End of the rows that the base has. */
  readonly baseEnd: number;
  /** Base bytes of rows [start, baseEnd). */
  readonly base: Uint8Array;
  readonly baseDtype: Dtype;
  readonly rowByteLength: number;
}

async function decodeBlock(
  input: DecodeTensorInput,
  terms: readonly OpenTerm[],
  block: Block,
): Promise<Uint8Array> {
  const { dtype, columns, name } = input.tensor;
  const { start, end, baseEnd, base, baseDtype, rowByteLength } = block;
  const overlapping = terms.filter((term) => term.start < end && term.end > start);
  const additive = overlapping.filter((term) => term.decoder.kind === 'additive');
  const exact = overlapping.filter((term) => term.decoder.kind === 'exact');
  const out = new Uint8Array((end - start) * rowByteLength);
  const coveredByExact = exact.some((term) => term.start <= start && term.end >= end);

  if (!coveredByExact) {
    if (additive.length === 0 && baseDtype === dtype && baseEnd === end) {
      out.set(base); // The base's very bytes: no arithmetic, so NaN payloads and −0 survive.
    } else if (isFloatDtype(dtype) && isFloatDtype(baseDtype)) {
      // Sums start at +0. Without a term the value is the base's own, and only x + (−0) is x for every x.
      const residual = new Float32Array((end - start) * columns).fill(additive.length === 0 ? -0 : 0);
      for (const term of additive) {
        const from = Math.max(start, term.start);
        const to = Math.min(end, term.end);
        await (term.decoder as AdditiveDecoder).accumulate(
          from - term.start,
          to - from,
          residual.subarray((from - start) * columns, (to - start) * columns),
        );
      }
      const operand = padded(base, (end - start) * columns, baseDtype);
      input.runtime.kernels.addAndRound(dtype, baseDtype, operand, residual, out);
    } else if (exact.length === 0 && end > start) {
      throw new CodecError(
        'none',
        `${input.archive}, tensor "${name}": rows ${start} to ${end} are not coded`,
      );
    }
  }
  for (const term of exact) {
    const from = Math.max(start, term.start);
    const to = Math.min(end, term.end);
    const target = out.subarray((from - start) * rowByteLength, (to - start) * rowByteLength);
    const decoder = term.decoder as ExactDecoder;
    if (decoder.needsBase && to > baseEnd) {
      throw new CodecError(
        'bytes',
        `${input.archive}, tensor "${name}": rows ${from} to ${to} are not in the base`,
      );
    }
    const basis = decoder.needsBase
      ? base.subarray((from - start) * rowByteLength, (to - start) * rowByteLength)
      : undefined;
    await decoder.decode(from - term.start, to - from, basis, target);
  }
  return out;
}

/** Base bytes with zeros for rows that the base lacks. */
function padded(base: Uint8Array, elements: number, dtype: FloatDtype): Uint8Array {
  const byteLength = (elements * DTYPES[dtype].bits) / 8;
  if (base.byteLength === byteLength) return base;
  const bytes = new Uint8Array(byteLength);
  bytes.set(base);
  return bytes;
}

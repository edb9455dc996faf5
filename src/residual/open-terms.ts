/** The terms of one tensor of an archive, their decoders open, and the rules of how they stand together. */
import { isFloatDtype } from '../../formats/dtype.js';
import type { ArchiveTerm } from '../../formats/ere/archive-index.js';
import { CodecError, UnsupportedError } from '../../formats/errors.js';
import type { AdditiveDecoder, ExactDecoder, TermDecoder } from '../codecs/codec.js';
import { CODECS } from '../codecs/registry.js';
import type { DecodableTensor, OpenTensorInput } from './tensor-decoder.js';

/** A term that covers rows [start, end). */
export interface OpenTerm<Decoder extends TermDecoder = TermDecoder> {
  readonly start: number;
  readonly end: number;
  readonly codec: string;
  readonly decoder: Decoder;
}

/** Opens all terms of a tensor and checks that they can stand where they do. @throws CodecError, UnsupportedError */
export async function openTerms(
  input: OpenTensorInput,
  rows: number,
  rowByteLength: number,
): Promise<readonly OpenTerm[]> {
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
        ...(input.releaseChunk === undefined ? {} : { release: input.releaseChunk }),
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

export function isAdditive(term: OpenTerm): term is OpenTerm<AdditiveDecoder> {
  return term.decoder.kind === 'additive';
}

export function isExact(term: OpenTerm): term is OpenTerm<ExactDecoder> {
  return term.decoder.kind === 'exact';
}

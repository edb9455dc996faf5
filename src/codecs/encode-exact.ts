/** Exact coding of rows by whichever codec makes them smallest. */
import { DTYPES } from '../../formats/dtype.js';
import { encodeBytes } from './bytes.js';
import type { EncodedTerm, ExactEncoder, ExactInput } from './codec.js';
import { encodeInterval } from './interval.js';

/** Every exact codec; the first applies to anything. */
const EXACT_ENCODERS: readonly ExactEncoder[] = [encodeBytes, encodeInterval];

/** Rows of more bytes are coded once, by the codec that is best on the first of them. */
const TRIAL_BYTE_LENGTH = 1 << 19;

/** The smallest exact term for the rows; the first of equals. Of large tensors a sample decides. */
export async function encodeExactRows(input: ExactInput): Promise<EncodedTerm> {
  const trial = trialOf(input);
  const best = await smallest(trial, EXACT_ENCODERS);
  if (trial === input) return best.term;
  return (await best.encode(input)) ?? (await smallest(input, EXACT_ENCODERS)).term;
}

async function smallest(
  input: ExactInput,
  encoders: readonly ExactEncoder[],
): Promise<{ readonly encode: ExactEncoder; readonly term: EncodedTerm }> {
  let best: { readonly encode: ExactEncoder; readonly term: EncodedTerm } | undefined;
  for (const encode of encoders) {
    const term = await encode(input);
    if (
      term !== undefined &&
      (best === undefined || encodedByteLength(term) < encodedByteLength(best.term))
    ) {
      best = { encode, term };
    }
  }
  return best!;
}

/** Payload and parameters. */
function encodedByteLength({ chunks, params }: EncodedTerm): number {
  return chunks.reduce((sum, { bytes }) => sum + bytes.byteLength, JSON.stringify(params).length);
}

/** The first rows, or the start of the only one; all of a small tensor. */
function trialOf(input: ExactInput): ExactInput {
  const { dtype, rowCount, columns, rowByteLength } = input;
  if (rowCount * rowByteLength <= 2 * TRIAL_BYTE_LENGTH) return input;
  if (rowByteLength <= TRIAL_BYTE_LENGTH) {
    return { ...input, rowCount: Math.floor(TRIAL_BYTE_LENGTH / rowByteLength) };
  }
  const byteLength = Math.min(rowByteLength, TRIAL_BYTE_LENGTH);
  const trialColumns = Math.floor((byteLength * 8) / DTYPES[dtype].bits);
  return { ...input, rowCount: 1, columns: Math.min(columns, trialColumns), rowByteLength: byteLength };
}

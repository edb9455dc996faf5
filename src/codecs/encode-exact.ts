/** Exact coding of rows by whichever codec makes them smallest. */
import { encodeBytes } from './bytes.js';
import type { EncodedTerm, ExactEncoder, ExactInput } from './codec.js';

/** Every exact codec; the first applies to anything. */
const EXACT_ENCODERS: readonly ExactEncoder[] = [encodeBytes];

/** The smallest exact term for the rows; the first of equals. */
export async function encodeExactRows(input: ExactInput): Promise<EncodedTerm> {
  let best: EncodedTerm | undefined;
  for (const encode of EXACT_ENCODERS) {
    const term = await encode(input);
    if (term !== undefined && (best === undefined || encodedByteLength(term) < encodedByteLength(best))) {
      best = term;
    }
  }
  return best!;
}

/** Payload and parameters. */
function encodedByteLength({ chunks, params }: EncodedTerm): number {
  return chunks.reduce((sum, { bytes }) => sum + bytes.byteLength, JSON.stringify(params).length);
}

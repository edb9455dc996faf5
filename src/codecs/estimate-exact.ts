/** What exact coding of many rows takes, from a few of them that are coded for real. */
import { encodeBytes } from './bytes.js';
import type { EncodedTerm, ExactInput } from './codec.js';
import { measureInterval } from './interval.js';

/**
 * Bytes of rows that codec "bytes" is tried on: deflating is slow, and looks back no further. On top of lossy terms it
 * is not tried: what they leave is noise.
 */
const TRIAL_BYTE_LENGTH = 1 << 15;

/** Rows that stand for others. */
export interface SampledInput extends ExactInput {
  /** Rows at the start that only teach the coder, as the first rows of a tensor do; fewer than all unless there are none. */
  readonly warmUpRows: number;
  /** What the rows that are not there take over what those behind the warm-up take; 0 where all are there. */
  readonly otherShare: number;
}

/** Expected bytes of all rows, those of the sample and those they stand for. */
export async function estimateExactRows(input: SampledInput): Promise<number> {
  const { warmUpRows, otherShare, rowCount, rowByteLength, prediction } = input;
  const measured = await measureInterval(input, [warmUpRows, rowCount]);
  if (measured !== undefined && prediction?.kind === 'reconstruction') return total(measured, otherShare);
  const trialRows = Math.min(rowCount, Math.max(1, Math.floor(TRIAL_BYTE_LENGTH / rowByteLength)));
  const trial = payloadByteLength(await encodeBytes({ ...input, rowCount: trialRows }));
  const asBytes = (trial / trialRows) * (rowCount + otherShare * (rowCount - warmUpRows));
  return measured === undefined ? asBytes : Math.min(asBytes, total(measured, otherShare));
}

/** @param measured bytes of the warm-up, and of the rows behind it */
function total([learning = 0, taught = 0]: readonly number[], otherShare: number): number {
  return learning + taught * (1 + otherShare);
}

function payloadByteLength({ chunks }: EncodedTerm): number {
  return chunks.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
}

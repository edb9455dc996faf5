/** What `ere verify` prints when everything holds; anything that does not is an error instead. */
import { formatCount, formatRelativeError } from '../../src/report/numbers.js';
import { printable } from '../../src/report/printable.js';
import type { VerifyReport } from '../../src/residual/api.js';

/** What was checked, and what was not. `base` tells whether the user named one. */
export function verifyReportText(archive: string, report: VerifyReport, base: boolean): string {
  const { chunkCount, baseTensorCount, decodedTensorCount, lossyTensorCount, comparison } = report;
  const lines = [
    `${printable(archive)}: intact`,
    `${formatCount(chunkCount, 'chunk')}: every checksum matches`,
    base
      ? `${formatCount(baseTensorCount, 'base tensor')} and ${formatCount(decodedTensorCount, 'decoded tensor')}: every digest matches`
      : 'not checked without --base: the digests of base and decoded tensors',
  ];
  if (lossyTensorCount > 0)
    lines.push(`${formatCount(lossyTensorCount, 'tensor')} at the lossy level: every digest matches`);
  if (comparison !== undefined) {
    const { equalCount, differentCount, relativeError } = comparison;
    lines.push(
      differentCount === 0
        ? `comparison: all ${formatCount(equalCount, 'tensor')} equal to the byte`
        : `comparison: ${formatCount(equalCount, 'tensor')} equal to the byte, ${differentCount} different with relative error ${formatRelativeError(relativeError)}`,
    );
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** What `ere truncate` prints. */
import { formatByteLength, formatShare } from '../../src/report/numbers.js';
import { printable } from '../../src/report/printable.js';
import type { TruncateReport } from '../../src/residual/api.js';
import { qualityText } from './summary.js';

/** One line: 'small.ere: 595 kB, 12.1 % of 4.92 MB; lossy: relative error 0.612, kept energy 62.5 %'. */
export function truncateReportText(report: TruncateReport): string {
  const { output, byteLength, originalByteLength, quality, loss } = report;
  const size = `${formatByteLength(byteLength)}, ${formatShare(byteLength / originalByteLength)} of ${formatByteLength(originalByteLength)}`;
  return `${printable(output)}: ${size}; ${qualityText(quality, loss)}\n`;
}

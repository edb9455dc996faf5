/** What `ere decode` prints. */
import { formatByteLength, formatCount, formatDuration } from '../../src/report/numbers.js';
import { printable } from '../../src/report/printable.js';
import type { DecodeReport } from '../../src/residual/api.js';
import { nameList } from './summary.js';

/** Where the checkpoint went, its size, and its identity. */
export function decodeReportText(report: DecodeReport): string {
  const size = `${formatCount(report.tensorCount, 'tensor')}, ${formatByteLength(report.byteLength)} of weights`;
  return (
    `${printable(report.output)}: ${size}, ${formatDuration(report.durationMs)}\n` +
    nameList('files', report.files) +
    `every tensor has the digest that the archive records${report.digest === undefined ? '' : `; checkpoint ${report.digest}`}\n`
  );
}

/** What `ere decode` prints. */
import { formatByteLength, formatCount, formatDuration } from '../../src/report/numbers.js';
import { printable } from '../../src/report/printable.js';
import type { DecodeReport } from '../../src/residual/api.js';
import { nameList, qualityText } from './summary.js';

/** Where the checkpoint went, its size, its loss and its identity. */
export function decodeReportText(report: DecodeReport): string {
  const size = `${formatCount(report.tensorCount, 'tensor')}, ${formatByteLength(report.byteLength)} of weights`;
  return (
    `${printable(report.output)}: ${size}, ${formatDuration(report.durationMs)}\n` +
    nameList('files', report.files) +
    `${qualityText(report.quality, report.loss)}\n` +
    digestText(report)
  );
}

function digestText({ incompleteTensorCount: count, tensorCount, digest }: DecodeReport): string {
  const checkpoint = digest === undefined ? '' : `; checkpoint ${digest}`;
  if (count === 0) return `every tensor has the digest that the archive records${checkpoint}\n`;
  return (
    `${count} of ${formatCount(tensorCount, 'tensor')} decoded from a part of their terms: their digests could not be ` +
    `checked, those of base and checksums were${checkpoint}\n`
  );
}

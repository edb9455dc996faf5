/** What `ere checkout` prints. */
import { formatByteLength, formatCount, formatDuration } from '../../src/report/numbers.js';
import { printable } from '../../src/report/printable.js';
import type { CheckoutReport } from '../../src/store/api.js';
import { lossText, nameList } from './summary.js';
import { versionName } from './version.js';

/** One line: 'out: chat 3f2a91c4, 57 tensors, 9.91 MB, 1.2 s'. */
export function checkoutSummaryText({ output, version, byteLength, durationMs }: CheckoutReport): string {
  const size = `${formatCount(version.tensorCount, 'tensor')}, ${formatByteLength(byteLength)}`;
  return `${printable(output)}: ${printable(versionName(version))}, ${size}, ${formatDuration(durationMs)}\n`;
}

/** The line, the files, the loss that the version has, and that it is what was stored. */
export function checkoutReportText(report: CheckoutReport): string {
  return (
    checkoutSummaryText(report) +
    nameList('files', report.files) +
    `${lossText(report.version.relativeError)}\n` +
    `every tensor has the digest that the store records; checkpoint ${report.digest}\n`
  );
}

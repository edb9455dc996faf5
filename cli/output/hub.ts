/** What `ere push` and `ere pull` print. */

import type { PullReport, PushReport } from '../../src/hub/api.js';
import { formatByteLength, formatCount, formatDuration, formatShare } from '../../src/report/numbers.js';
import { printable } from '../../src/report/printable.js';
import { renderTable } from '../../src/report/table.js';
import { renderTensorTable } from '../../src/report/tensor-table.js';
import { decodeReportText } from './decode.js';
import { lossText } from './summary.js';

const SHOWN_COMMIT = 12;

/** One line: what was rebuilt from what. */
export function pullSummaryText(report: PullReport): string {
  const { repo, commit, output, isReused } = report;
  const source = `${repo}@${commit.slice(0, SHOWN_COMMIT)}`;
  return `${printable(output)}: ${source}${isReused ? ', was there already' : ''}\n`;
}

/** Where it came from, what was downloaded, and the report of decoding. */
export function pullReportText(report: PullReport): string {
  const { archiveByteLength, usedByteLength, downloadedByteLength, decoded, base } = report;
  const part =
    usedByteLength === archiveByteLength
      ? formatByteLength(archiveByteLength)
      : `the first ${formatByteLength(usedByteLength)} of ${formatByteLength(archiveByteLength)}`;
  if (decoded === undefined) return pullSummaryText(report);
  const path = base.path === undefined ? '' : ` in ${printable(base.path)}`;
  const revision = base.revision === undefined ? '' : `@${printable(base.revision.slice(0, SHOWN_COMMIT))}`;
  const { archive, base: baseBytes } = downloadedByteLength;
  return (
    pullSummaryText(report) +
    `archive: ${printable(report.file)}, ${part}\n` +
    `base: ${printable(base.name)}${revision}${path}\n` +
    `downloaded: ${formatByteLength(archive)} of the archive, ${formatByteLength(baseBytes)} of the base\n` +
    decodeReportText(decoded)
  );
}

/** One line: 'user/repo: 595 kB, 6.0 % of 9.91 MB; relative error 0.612, …; commit 3f2a91c4…'. */
export function pushSummaryText(report: PushReport): string {
  const { repo, archiveByteLength, fineTunedByteLength, relativeError } = report;
  const share = formatShare(archiveByteLength / fineTunedByteLength);
  const size = `${formatByteLength(archiveByteLength)}, ${share} of ${formatByteLength(fineTunedByteLength)}`;
  return `${repo}: ${size}; ${lossText(relativeError)}; ${outcomeText(report)}\n`;
}

function outcomeText({ isDryRun, commit, uploadByteLength, isNew }: PushReport): string {
  if (isDryRun) {
    return `${formatCount(uploadByteLength, 'byte')} would be uploaded${isNew ? ' to a new repository' : ''}, nothing was`;
  }
  const shown = commit?.slice(0, SHOWN_COMMIT);
  return uploadByteLength === 0 ? `all of it was there already, commit ${shown}` : `commit ${shown}`;
}

/** The files with their bytes, the table of errors, and where it went. */
export function pushReportText(report: PushReport): string {
  const rows = report.files.map(({ path, byteLength, isThere }) => [
    path,
    String(byteLength),
    isThere ? 'is there already' : '',
  ]);
  const { base, url, pullRequestUrl, durationMs } = report;
  return [
    pushSummaryText(report),
    '\n',
    renderTable([{ title: 'file' }, { title: 'bytes', align: 'right' }, { title: '' }], rows),
    '\n',
    renderTensorTable(report.tensors),
    '\n',
    `base: ${printable(base.name)}@${printable(base.revision)}, ${base.digest}\n`,
    pullRequestUrl === undefined ? '' : `pull request: ${printable(pullRequestUrl)}\n`,
    url === undefined || url === '' ? '' : `${printable(url)}\n`,
    `${formatDuration(durationMs)}\n`,
  ].join('');
}

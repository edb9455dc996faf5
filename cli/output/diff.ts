/** What `ere diff` prints: totals, spectra by tensor, files, and estimates that are named as such. */
import { renderDiffTable, renderEstimateTable } from '../../src/report/diff-tables.js';
import {
  formatByteLength,
  formatCount,
  formatDuration,
  formatRelativeError,
  formatShare,
} from '../../src/report/numbers.js';
import { printable } from '../../src/report/printable.js';
import type { DiffReport } from '../../src/residual/diff-report.js';
import { nameList } from './summary.js';

/** The whole report; `each` lists every tensor instead of groups. */
export function diffReportText(fineTuned: string, report: DiffReport, each: boolean): string {
  const filesThatAre = (status: DiffReport['sideFiles'][number]['status']) =>
    report.sideFiles.filter((file) => file.status === status).map((file) => file.path);
  const conflicting = new Set(
    report.shapeConflicts.map((conflict) => conflict.slice(0, conflict.lastIndexOf(': base'))),
  );
  return [
    diffSummaryText(fineTuned, report),
    '\n',
    renderDiffTable(report.tensors, each),
    '\n',
    nameList(
      'tensors that the base does not have',
      report.added.filter((name) => !conflicting.has(name)),
    ),
    nameList('tensors of the base that the fine-tune does not have', report.removed),
    nameList('shapes that cannot be compared', report.shapeConflicts),
    nameList('files that differ from the base', filesThatAre('changed')),
    nameList('files that the base does not have', filesThatAre('added')),
    nameList('files of the base that the fine-tune does not have', filesThatAre('removed')),
    estimatesText(report),
    report.gemmEngine === 'none' ? '' : `matrix products by ${report.gemmEngine}, `,
    `${formatDuration(report.durationMs)}\n`,
  ].join('');
}

/** One line: 'tuned: 57 tensors, 9.91 MB; 57 changed, 1.2 % of the elements unchanged, relative residual 0.134'. */
export function diffSummaryText(fineTuned: string, report: DiffReport): string {
  const size = `${formatCount(report.tensors.length, 'tensor')}, ${formatByteLength(report.fineTunedByteLength)}`;
  const added = report.added.length > 0 ? `, ${report.added.length} added` : '';
  const removed = report.removed.length > 0 ? `, ${report.removed.length} removed` : '';
  return (
    `${printable(fineTuned)}: ${size}; ${report.changedTensorCount} changed${added}${removed}, ` +
    `${formatShare(report.unchangedShare)} of the elements unchanged, ` +
    `relative residual ${formatRelativeError(report.relativeResidual)}\n`
  );
}

function estimatesText({ estimates }: DiffReport): string {
  if (estimates.length === 0) return '';
  const known = estimates.some((estimate) => estimate.extrapolated)
    ? 'from the leading singular values and a continuation of them'
    : 'from the leading singular values';
  return `estimates ${known}, nothing was encoded:\n${renderEstimateTable(estimates)}\n`;
}

/** What `ere commit` and `ere import` print: what the version took, and what it is coded against. */
import { formatCount, formatDuration, formatShare } from '../../src/report/numbers.js';
import { printable } from '../../src/report/printable.js';
import { renderTable, type TableColumn } from '../../src/report/table.js';
import type { CommitReport, ReferenceCandidate } from '../../src/store/api.js';
import { lossText } from './summary.js';
import { addedText, costText, referenceText, shortId, versionName } from './version.js';

/** One line: 'chat 3f2a91c4: 284 kB, 2.9 % of 9.91 MB; bit-exact'. */
export function commitSummaryText({ version, addedByteLength }: CommitReport): string {
  const size = addedText(addedByteLength, version.fineTunedByteLength);
  return `${printable(versionName(version))}: ${size}; ${lossText(version.relativeError)}\n`;
}

/** The line, what the version follows and is coded against, and what else that could have been. */
export function commitReportText(report: CommitReport): string {
  const { version, candidates, sharedTensorCount, durationMs } = report;
  const parents = version.parents.map((id) => shortId(id)).join(', ');
  const facts = [
    parents === '' ? 'no parent' : `parent ${parents}`,
    ...(version.base === undefined ? [] : [`base ${version.base.name}`]),
    `coded against ${referenceText(version)}`,
    `decode cost ${costText(version.decodeCost)}`,
  ];
  const shared = sharedTensorCount === 0 ? '' : `, ${sharedTensorCount} of them shared with others`;
  return [
    commitSummaryText(report),
    `${printable(facts.join(', '))}\n`,
    candidates.length < 2 ? '' : candidateTable(candidates),
    `${formatCount(version.tensorCount, 'tensor')}${shared}; ${formatDuration(durationMs)}\n`,
  ].join('');
}

const COLUMNS: readonly TableColumn[] = [
  { title: 'reference' },
  { title: 'expected size', align: 'right' },
  { title: 'decode cost', align: 'right' },
  { title: '' },
];

/** References are versions' ids, or 'base' and its name. */
function candidateTable(candidates: readonly ReferenceCandidate[]): string {
  const rows = candidates.map(({ reference, expectedRatio, decodeCost, isWithinLimit }) => [
    reference.startsWith('base ') ? reference : `version ${shortId(reference)}`,
    formatShare(expectedRatio),
    costText(decodeCost),
    isWithinLimit ? '' : 'over the limit of decode cost',
  ]);
  return renderTable(COLUMNS, rows);
}

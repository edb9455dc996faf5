/** What `ere commit` and `ere import` print: what the version took, and what it is coded against. */
import { formatCount, formatDuration, formatShare } from '../../src/report/numbers.js';
import { printable } from '../../src/report/printable.js';
import { renderTable, type TableColumn } from '../../src/report/table.js';
import type { CommitReport, ReferenceCandidate, VersionSummary } from '../../src/store/api.js';
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
  const isParent = version.parents.length === 1 && version.parents[0] === version.reference?.id;
  const facts = [
    parents === '' ? 'no parent' : `parent ${parents}`,
    `coded against ${isParent ? 'it' : referenceText(version)}`,
    ...(version.base === undefined || version.reference?.kind === 'base'
      ? []
      : [`base ${version.base.name}`]),
    `decode cost ${costText(version.decodeCost)}`,
  ];
  const shared = sharedTensorCount === 0 ? '' : `, ${sharedTensorCount} of them shared with others`;
  return [
    commitSummaryText(report),
    `${printable(facts.join(', '))}\n`,
    candidates.length < 2 ? '' : candidateTable(candidates, version),
    `${formatCount(version.tensorCount, 'tensor')}${shared}; ${formatDuration(durationMs)}\n`,
  ].join('');
}

/** More are of interest to programs only: --json has them. */
const CANDIDATES_SHOWN = 4;

const COLUMNS: readonly TableColumn[] = [
  { title: 'reference' },
  { title: 'expected size', align: 'right' },
  { title: 'decode cost', align: 'right' },
  { title: '' },
];

/** The likeliest, the smallest first. References are versions' ids, or 'base' and its name. */
function candidateTable(candidates: readonly ReferenceCandidate[], version: VersionSummary): string {
  const isTaken = ({ reference }: ReferenceCandidate) =>
    reference.startsWith('base ')
      ? version.reference?.kind === 'base'
      : version.reference?.kind === 'version' && shortId(reference) === shortId(version.reference.id);
  const sorted = [...candidates].sort((a, b) => a.expectedRatio - b.expectedRatio);
  const shown = sorted.filter((candidate, i) => i < CANDIDATES_SHOWN || isTaken(candidate));
  const rows = shown.map((candidate) => {
    const { reference, expectedRatio, decodeCost, isWithinLimit } = candidate;
    return [
      reference.startsWith('base ') ? reference : `version ${shortId(reference)}`,
      formatShare(expectedRatio),
      costText(decodeCost),
      isTaken(candidate) ? 'taken' : isWithinLimit ? '' : 'over the limit of decode cost',
    ];
  });
  const more = sorted.length - shown.length;
  return renderTable(COLUMNS, rows) + (more === 0 ? '' : `… and ${more} more\n`);
}

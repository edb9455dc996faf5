/** What `ere diff` prints of two versions: tensors by how much they changed, and the text of what travels along. */
import { formatCount, formatRange, formatRelativeError, formatShare } from '../../src/report/numbers.js';
import { printable, printableLines } from '../../src/report/printable.js';
import { renderTable, type TableColumn } from '../../src/report/table.js';
import { extent, groupByPattern } from '../../src/report/tensor-groups.js';
import type { StoreDiffReport } from '../../src/store/api.js';
import { nameList } from './summary.js';
import { versionName } from './version.js';

type Changed = StoreDiffReport['changed'][number];

/** The whole report; `each` lists every tensor instead of groups. */
export function storeDiffText(report: StoreDiffReport, each: boolean): string {
  return [
    storeDiffSummaryText(report),
    report.changed.length === 0 ? '' : `\n${changedTable(report.changed, each)}\n`,
    nameList('added tensors', report.added),
    nameList('removed tensors', report.removed),
    ...report.sideFiles.map(sideFileText),
  ].join('');
}

/** One line: 'chat 3f2a91c4 → chat 81b0d2aa: 54 of 57 tensors changed, 1 added, relative change 0.0013–0.021'. */
export function storeDiffSummaryText({
  from,
  to,
  changed,
  unchangedCount,
  ...rest
}: StoreDiffReport): string {
  const parts = [
    `${changed.length} of ${formatCount(changed.length + unchangedCount, 'tensor')} changed`,
    ...(rest.added.length > 0 ? [`${rest.added.length} added`] : []),
    ...(rest.removed.length > 0 ? [`${rest.removed.length} removed`] : []),
    ...(rest.sideFiles.length > 0 ? [`${formatCount(rest.sideFiles.length, 'file')} changed`] : []),
  ];
  return `${printable(`${versionName(from)} → ${versionName(to)}`)}: ${parts.join(', ')}\n`;
}

const COLUMNS: readonly TableColumn[] = [
  { title: 'tensor' },
  { title: 'count', align: 'right' },
  { title: 'relative change', align: 'right' },
  { title: 'top 1', align: 'right' },
  { title: 'top 8', align: 'right' },
  { title: 'rank', align: 'right' },
];

/**
 * One line a group of tensors whose names differ in numbers only: changes from the smallest to the largest, and the
 * medians of the shares of their strongest components and of effective ranks.
 */
function changedTable(changed: readonly Changed[], each: boolean): string {
  const groups = groupByPattern(
    changed.map((tensor) => ({ ...tensor, case: tensor.relativeChange === undefined ? 'other' : 'float' })),
    each,
  );
  const rows = groups.map(({ pattern, tensors }) => {
    const changes = known(tensors.map((tensor) => tensor.relativeChange));
    return [
      pattern,
      String(tensors.length),
      changes.length === 0 ? '–' : formatRange(...extent(changes), formatRelativeError),
      medianText(
        tensors.map((tensor) => tensor.energyTop1),
        formatShare,
      ),
      medianText(
        tensors.map((tensor) => tensor.energyTop8),
        formatShare,
      ),
      medianText(
        tensors.map((tensor) => tensor.effectiveRank),
        (rank) => rank.toFixed(rank < 10 ? 1 : 0),
      ),
    ];
  });
  return renderTable(COLUMNS, rows);
}

/** '–' where nothing is known. */
function medianText(values: readonly (number | undefined)[], format: (value: number) => string): string {
  const sorted = known(values).sort((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return low === undefined || high === undefined ? '–' : format((low + high) / 2);
}

function known(values: readonly (number | undefined)[]): number[] {
  return values.filter((value) => value !== undefined);
}

function sideFileText({ path, status, text }: StoreDiffReport['sideFiles'][number]): string {
  const lines = text === undefined ? '' : `${printableLines(text).trimEnd()}\n`;
  return `${status} file: ${printable(path)}\n${lines}`;
}

/** The tables of `ere diff`: what changed, tensor by tensor, and what archives would take. */
import type { SizeEstimate, SpectrumSummary, TensorDiff } from '../residual/diff-report.js';
import { formatByteLength, formatRange, formatRelativeError, formatShare } from './numbers.js';
import { renderTable, type TableColumn } from './table.js';
import { extent, groupByPattern } from './tensor-groups.js';
import { shapesText } from './tensor-table.js';

const DIFF_COLUMNS: readonly TableColumn[] = [
  { title: 'tensor' },
  { title: 'case' },
  { title: 'count', align: 'right' },
  { title: 'shape' },
  { title: 'unchanged', align: 'right' },
  { title: 'relative residual', align: 'right' },
  { title: 'top 1', align: 'right' },
  { title: 'top 8', align: 'right' },
  { title: 'top 32', align: 'right' },
  { title: 'effective rank', align: 'right' },
];

/**
 * One line a group of tensors, or a tensor with `each`. Unchanged and top n (the energy in the n strongest
 * components) are of the whole group; relative residual and effective rank from its smallest to its largest.
 */
export function renderDiffTable(tensors: readonly TensorDiff[], each = false): string {
  const rows = groupByPattern(tensors, each).map((group) => {
    const elements = sum(group.tensors, (tensor) => tensor.elementCount);
    const unchanged = sum(group.tensors, (tensor) => tensor.unchangedCount);
    return [
      group.pattern,
      group.case,
      String(group.tensors.length),
      shapesText(group.tensors),
      formatShare(elements === 0 ? 1 : unchanged / elements),
      rangeText(
        group.tensors.map((tensor) => tensor.relativeResidual),
        formatRelativeError,
      ),
      energyText(group.tensors, 'energyTop1'),
      energyText(group.tensors, 'energyTop8'),
      energyText(group.tensors, 'energyTop32'),
      rangeText(
        group.tensors.map((tensor) => tensor.spectrum?.effectiveRank),
        (rank) => rank.toFixed(rank < 10 ? 1 : 0),
      ),
    ];
  });
  return renderTable(DIFF_COLUMNS, rows);
}

const ESTIMATE_COLUMNS: readonly TableColumn[] = [
  { title: 'budget' },
  { title: 'archive', align: 'right' },
  { title: 'share', align: 'right' },
  { title: 'relative error', align: 'right' },
  { title: 'kept energy', align: 'right' },
  { title: '' },
];

/** One line a budget. */
export function renderEstimateTable(estimates: readonly SizeEstimate[]): string {
  const rows = estimates.map((estimate) => [
    budgetText(estimate),
    formatByteLength(estimate.archiveByteLength),
    formatShare(estimate.ratio),
    formatRelativeError(estimate.relativeError),
    formatShare(Math.max(0, 1 - estimate.relativeError ** 2)),
    estimate.reachable ? '' : 'out of reach: the least that an archive takes',
  ]);
  return renderTable(ESTIMATE_COLUMNS, rows);
}

function budgetText({ budget }: SizeEstimate): string {
  switch (budget.kind) {
    case 'ratio':
      return `ratio ${formatShare(budget.ratio)}`;
    case 'size':
      return `size ${formatByteLength(budget.byteLength)}`;
    case 'rank':
      return `rank ${budget.rank}`;
    case 'energy':
      return `energy ${formatShare(budget.energy)}`;
    case 'max-error':
      return `error ${formatRelativeError(budget.relativeError)}`;
    case 'step':
      return `step ${budget.step.toPrecision(3)}`;
  }
}

/** Energy of the leading components over that of the residuals, both summed over the group. */
function energyText(
  tensors: readonly TensorDiff[],
  top: 'energyTop1' | 'energyTop8' | 'energyTop32',
): string {
  const measured = tensors.filter(hasSpectrum);
  const energy = sum(measured, (tensor) => tensor.squaredResidual);
  if (energy === 0) return '–';
  return formatShare(sum(measured, (tensor) => tensor.spectrum[top] * tensor.squaredResidual) / energy);
}

function hasSpectrum(
  tensor: TensorDiff,
): tensor is TensorDiff & { readonly spectrum: SpectrumSummary; readonly squaredResidual: number } {
  return tensor.spectrum !== undefined && tensor.squaredResidual !== undefined;
}

/** Smallest to largest of the values that there are. */
function rangeText(values: readonly (number | undefined)[], format: (value: number) => string): string {
  const present = values.filter((value) => value !== undefined);
  return present.length === 0 ? '–' : formatRange(...extent(present), format);
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}

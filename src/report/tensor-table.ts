/** The table of what became of every tensor, shared by `ere encode` and `ere inspect`. */
import type { TensorReport } from '../residual/api.js';
import {
  formatBits,
  formatByteLength,
  formatDecibel,
  formatRange,
  formatRelativeError,
  formatShare,
} from './numbers.js';
import { renderTable, type TableColumn } from './table.js';
import { groupTensors } from './tensor-groups.js';

const COLUMNS: readonly TableColumn[] = [
  { title: 'tensor' },
  { title: 'case' },
  { title: 'count', align: 'right' },
  { title: 'shape' },
  { title: 'rank', align: 'right' },
  { title: 'bytes', align: 'right' },
  { title: 'bits/weight', align: 'right' },
  { title: 'relative error', align: 'right' },
  { title: 'dB', align: 'right' },
  { title: 'kept', align: 'right' },
  { title: 'over bound', align: 'right' },
];

/**
 * One line a group of tensors, or a tensor with `each`. Ranges are the smallest and the largest of
 * the group. dB: signal to noise; kept: energy; over bound: bits per weight over the Gaussian bound.
 */
export function renderTensorTable(tensors: readonly TensorReport[], each = false): string {
  const rows = groupTensors(tensors, each).map((group) => [
    group.pattern,
    group.case,
    String(group.tensors.length),
    shapesText(group.tensors),
    group.rank[1] === 0 ? '–' : formatRange(group.rank[0], group.rank[1], String),
    formatByteLength(group.byteLength),
    formatRange(...group.bitsPerWeight, formatBits),
    formatRange(group.relativeError[0], group.relativeError[1], (error) =>
      error === 0 ? 'exact' : formatRelativeError(error),
    ),
    group.signalToNoiseDb ? formatRange(...group.signalToNoiseDb, formatDecibel) : '–',
    formatRange(...group.keptEnergy, formatShare),
    group.boundGapBits ? formatRange(...group.boundGapBits, formatBits) : '–',
  ]);
  return renderTable(COLUMNS, rows);
}

/** '704×256', or 'various' where a group's tensors differ. */
export function shapesText(tensors: readonly Pick<TensorReport, 'shape'>[]): string {
  const distinct = new Set(
    tensors.map((tensor) => (tensor.shape.length === 0 ? 'scalar' : tensor.shape.join('×'))),
  );
  return distinct.size === 1 ? [...distinct][0]! : 'various';
}

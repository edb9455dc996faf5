/** What `ere base` prints. */
import { formatByteLength, formatCount } from '../../src/report/numbers.js';
import { printable } from '../../src/report/printable.js';
import { renderTable, type TableColumn } from '../../src/report/table.js';
import type { BaseSummary } from '../../src/store/api.js';
import { shortId } from './version.js';

/** One line: 'base llama: 57 tensors, 9.91 MB; not kept: needed where it is, models/llama'. */
export function baseText(base: BaseSummary): string {
  const size = `${formatCount(base.tensorCount, 'tensor')}, ${formatByteLength(base.byteLength)}`;
  const where = base.isKept
    ? 'kept in the store'
    : `not kept: needed where it is, ${printable(base.locations[0] ?? 'nowhere')}`;
  return `base ${printable(base.name)}: ${size}; ${where}\n`;
}

const COLUMNS: readonly TableColumn[] = [
  { title: 'base' },
  { title: 'version' },
  { title: 'tensors', align: 'right' },
  { title: 'size', align: 'right' },
  { title: 'kept' },
  { title: 'last seen at' },
];

/** One line a base. */
export function baseTable(bases: readonly BaseSummary[]): string {
  const rows = bases.map((base) => [
    base.name,
    shortId(base.id),
    String(base.tensorCount),
    formatByteLength(base.byteLength),
    base.isKept ? 'yes' : 'no',
    base.locations[0] ?? '',
  ]);
  return renderTable(COLUMNS, rows);
}

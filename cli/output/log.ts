/** What `ere log` prints: a line a version, the newest first. */
import { formatByteLength, formatRelativeError, formatShare } from '../../src/report/numbers.js';
import { renderTable, type TableColumn } from '../../src/report/table.js';
import { childrenFirst, drawVersionGraph } from '../../src/report/version-graph.js';
import type { LogEntry } from '../../src/store/api.js';
import { describedSubject, distinctDigits, shortId, timeText } from './version.js';

const COLUMNS: readonly TableColumn[] = [
  { title: 'version' },
  { title: 'time (UTC)' },
  { title: 'added', align: 'right' },
  { title: 'share', align: 'right' },
  { title: 'error', align: 'right' },
  { title: 'message' },
];

export interface LogLayout {
  /** Draw the history to the left of its versions. */
  readonly graph: boolean;
  /** Columns of the terminal: what is longer is cut. Undefined: nothing is. */
  readonly columns?: number | undefined;
}

/** The table; the model has a column where there are several. */
export function logText(entries: readonly LogEntry[], { graph, columns }: LogLayout): string {
  const ordered = graph ? childrenFirst(entries) : entries;
  const digits = distinctDigits(ordered.map((entry) => entry.id));
  const lanes = graph ? drawVersionGraph(ordered) : [];
  const severalModels = new Set(ordered.map((entry) => entry.model)).size > 1;
  const rows = ordered.map((entry, i) => [
    ...(graph ? [lanes[i]!] : []),
    shortId(entry.id, digits),
    timeText(entry.createdAt),
    formatByteLength(entry.addedByteLength),
    entry.fineTunedByteLength === 0 ? '–' : formatShare(entry.addedByteLength / entry.fineTunedByteLength),
    entry.relativeError === 0 ? 'exact' : formatRelativeError(entry.relativeError),
    ...(severalModels ? [entry.model] : []),
    describedSubject(entry),
  ]);
  const table = renderTable(
    [
      ...(graph ? [{ title: '' }] : []),
      ...COLUMNS.slice(0, -1),
      ...(severalModels ? [{ title: 'model' }] : []),
      COLUMNS.at(-1)!,
    ],
    rows,
  );
  return columns === undefined ? table : cutLines(table, columns);
}

/** Lines of at most so many characters: the message stands last, and is what is cut. */
function cutLines(text: string, columns: number): string {
  return text
    .split('\n')
    .map((line) => {
      const characters = line.length <= columns ? [] : [...line];
      return characters.length <= columns ? line : `${characters.slice(0, columns - 1).join('')}…`;
    })
    .join('\n');
}

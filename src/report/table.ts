/** Plain text tables: a header line, aligned columns two spaces apart, no trailing blanks. */
import { printable } from './printable.js';

export interface TableColumn {
  readonly title: string;
  /** Text reads from the left, numbers line up at the right. Default 'left'. */
  readonly align?: 'left' | 'right';
}

/**
 * Renders rows of cells, one string a column. Cells may hold foreign text: it is made printable.
 * @throws RangeError when a row has another number of cells than there are columns.
 */
export function renderTable(columns: readonly TableColumn[], rows: readonly (readonly string[])[]): string {
  for (const row of rows) {
    if (row.length !== columns.length) {
      throw new RangeError(`expected ${columns.length} cells in a row, got ${row.length}`);
    }
  }
  const lines = [columns.map((column) => column.title), ...rows].map((row) => row.map(printable));
  const widths = columns.map((_, index) =>
    lines.reduce((widest, line) => Math.max(widest, [...line[index]!].length), 0),
  );
  return lines
    .map((line) =>
      line
        .map((cell, index) => {
          const padding = ' '.repeat(widths[index]! - [...cell].length);
          return columns[index]!.align === 'right' ? padding + cell : cell + padding;
        })
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

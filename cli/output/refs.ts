/** What `ere tag` and `ere branch` print. */
import { printable } from '../../src/report/printable.js';
import { renderTable } from '../../src/report/table.js';
import type { RefEntry } from '../../src/store/api.js';
import { shortId } from './version.js';

/** One line: 'tag v1.0 → 3f2a91c4'. */
export function refText({ kind, name, id }: RefEntry): string {
  return `${kind} ${printable(name)} → ${shortId(id)}\n`;
}

/** One line a ref, by name; all of one kind. */
export function refTable(refs: readonly RefEntry[]): string {
  const sorted = [...refs].sort((a, b) => (a.name < b.name ? -1 : 1));
  return renderTable(
    [{ title: sorted[0]?.kind ?? 'name' }, { title: 'version' }],
    sorted.map(({ name, id }) => [name, shortId(id)]),
  );
}

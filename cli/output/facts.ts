/** A list of named facts, one line each, the names in a column. */
import { printable } from '../../src/report/printable.js';

/** Facts without a value are left out. */
export function factLines(facts: readonly (readonly [name: string, value: string])[]): string {
  const known = facts.filter(([, value]) => value !== '');
  const width = Math.max(0, ...known.map(([name]) => name.length));
  return known.map(([name, value]) => `  ${name.padEnd(width)}  ${printable(value)}\n`).join('');
}

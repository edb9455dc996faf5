/**
 * What there is in a store that cannot be listed (docs/spec/store-backends.md §5): the value `inventory`, a line
 * `key TAB byteLength TAB modifiedMs LF` for each other value, sorted by key.
 */
import { FormatError } from '../../../formats/errors.js';
import type { Key, RequestOptions, StoreBackend, StoredValue } from '../backend.js';
import { isKey } from '../keys.js';

export const INVENTORY_KEY: Key = 'inventory';

/** The inventory of what a backend holds now, but for an inventory that it has. */
export async function inventoryText(backend: StoreBackend, options: RequestOptions = {}): Promise<string> {
  const lines: string[] = [];
  for await (const { key, byteLength, modifiedMs } of backend.list('', options)) {
    if (key !== INVENTORY_KEY) lines.push(`${key}\t${byteLength}\t${Math.floor(modifiedMs)}\n`);
  }
  return lines.sort().join('');
}

/**
 * Makes a store ready to be served over plain HTTP: writes its inventory, to be done after every change.
 * @returns the number of values listed
 */
export async function writeInventory(backend: StoreBackend, options: RequestOptions = {}): Promise<number> {
  const text = await inventoryText(backend, options);
  await backend.write(INVENTORY_KEY, new TextEncoder().encode(text), options);
  return text.split('\n').length - 1;
}

/**
 * The values that an inventory lists.
 * @param file its name in messages
 * @throws FormatError
 */
export function parseInventory(text: string, file: string): StoredValue[] {
  if (text !== '' && !text.endsWith('\n')) throw new FormatError('inventory', 'ends within a line', { file });
  const seen = new Set<Key>();
  return text
    .split('\n')
    .slice(0, -1)
    .map((line, index) => {
      const [key, byteLength, modifiedMs, ...rest] = line.split('\t');
      const numbers = [byteLength, modifiedMs].map((digits) =>
        /^\d{1,16}$/.test(digits ?? '') ? Number(digits) : Number.NaN,
      );
      if (!isKey(key) || seen.has(key) || rest.length > 0 || !numbers.every(Number.isSafeInteger)) {
        const expected = 'expected a key of its own, a length and a time, with tabs between';
        throw new FormatError('inventory', `line ${index + 1}: ${expected}`, { file });
      }
      seen.add(key);
      return { key, byteLength: numbers[0], modifiedMs: numbers[1] };
    });
}

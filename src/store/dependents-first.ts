/**
 * The order in which things that need others are removed: what is left at any moment lacks nothing.
 * @param needs what an item needs; items that are not of the list are ignored
 * @returns the items, each before all that it needs; where they need one another in a circle, in some order
 */
export function dependentsFirst<T>(items: Iterable<T>, needs: (item: T) => readonly T[]): T[] {
  const known = new Set(items);
  const seen = new Set<T>();
  const needed: T[] = [];
  for (const first of known) {
    if (seen.has(first)) continue;
    seen.add(first);
    // Not recursive: chains may be long. An item is done when all that it needs is.
    const open = [{ item: first, waiting: [...needs(first)] }];
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const next = top.waiting.pop();
      if (next === undefined) {
        needed.push(top.item);
        open.pop();
      } else if (known.has(next) && !seen.has(next)) {
        seen.add(next);
        open.push({ item: next, waiting: [...needs(next)] });
      }
    }
  }
  return needed.reverse();
}

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { drawVersionGraph, type GraphVersion } from '../../../src/report/version-graph.js';
import { drawLanes, laneCount, MAX_LANES } from '../../../src/serve/pages/lineage.js';
import { type PageElement, readMarkup } from './markup.js';

/** Lines and nodes of rows that stand on each other, each row 100 high. */
interface Drawing {
  readonly lines: readonly {
    readonly x1: number;
    readonly y1: number;
    readonly x2: number;
    readonly y2: number;
  }[];
  readonly nodes: readonly { readonly x: number; readonly y: number; readonly isRoot: boolean }[];
}

function drawn(rows: readonly string[]): Drawing {
  const lanes = laneCount(rows);
  const elements = rows.flatMap((row, i): (PageElement & { readonly row: number })[] => {
    const { markup } = drawLanes(row, rows[i - 1] ?? '', lanes);
    return readMarkup(`<!doctype html>\n${markup}`).map((element) => ({ ...element, row: i }));
  });
  const at = (element: (typeof elements)[number], key: string) => {
    const value = Number(element.attributes[key]!.replace('%', ''));
    return key.includes('y') ? value + 100 * element.row : value;
  };
  return {
    lines: elements
      .filter(({ name, attributes }) => name === 'line' && attributes.class !== 'gap')
      .map((each) => ({ x1: at(each, 'x1'), y1: at(each, 'y1'), x2: at(each, 'x2'), y2: at(each, 'y2') })),
    nodes: elements
      .filter(({ name }) => name === 'circle')
      .map((each) => ({ x: at(each, 'cx'), y: at(each, 'cy'), isRoot: each.attributes.class === 'root' })),
  };
}

/** Rows of the parents that lines lead down to from each node, as an eye follows them. */
function followed({ lines, nodes }: Drawing): Set<number>[] {
  const nodeAt = (x: number, y: number) => nodes.findIndex((node) => node.x === x && node.y === y);
  const across = (y: number) => lines.filter((line) => line.y1 === y && line.y2 === y);
  const goesDown = (x: number, y: number) =>
    lines.some((line) => line.x1 === x && line.x2 === x && line.y1 <= y && line.y2 > y);
  const passes = (x: number, y: number) =>
    lines.some((line) => line.x1 === x && line.x2 === x && line.y1 < y && line.y2 > y);
  /** All places of a row that hang together with its node. */
  const joined = (x: number, y: number): number[] => {
    const reached = new Set([x]);
    for (const from of reached) {
      for (const { x1, x2 } of across(y)) {
        if (x1 === from) reached.add(x2);
        if (x2 === from) reached.add(x1);
      }
    }
    return [...reached].filter((each) => each === x || !passes(each, y));
  };
  const down = (x: number, y: number): number | undefined => {
    for (let row = Math.ceil(y / 100); row < nodes.length; row++) {
      const middle = 100 * row + 50;
      if (!lines.some((line) => line.x1 === x && line.x2 === x && line.y1 === 100 * row)) return undefined;
      if (nodeAt(x, middle) !== -1) return row;
      if (!passes(x, middle)) return row;
    }
    return undefined;
  };
  return nodes.map(({ x, y }) => {
    const found = joined(x, y)
      .filter((each) => goesDown(each, y))
      .map((each) => down(each, y + 50));
    return new Set(found.filter((row) => row !== undefined));
  });
}

const histories = fc
  .array(
    fc.record({
      model: fc.constantFrom('main', 'chat', 'code'),
      parents: fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 3 }),
    }),
    { maxLength: 20 },
  )
  .map((versions) =>
    versions.map(
      ({ model, parents }, i): GraphVersion => ({
        id: `v${i}`,
        model,
        parents: parents.map((by) => `v${i + by}`),
      }),
    ),
  );

describe('drawLanes', () => {
  test('of any history leads from every version to its parents and nowhere else', () => {
    fc.assert(
      fc.property(histories, (versions) => {
        const row = new Map(versions.map(({ id }, i) => [id, i]));
        const drawing = drawn(drawVersionGraph(versions));
        expect(drawing.nodes.map(({ y }) => y)).toEqual(versions.map((_, i) => 100 * i + 50));
        expect(followed(drawing)).toEqual(
          versions.map(
            ({ parents }) => new Set(parents.map((id) => row.get(id)).filter((at) => at !== undefined)),
          ),
        );
        expect(drawing.nodes.map(({ isRoot }) => isRoot)).toEqual(
          versions.map(({ parents }) => !parents.some((id) => row.has(id))),
        );
      }),
      { numRuns: 100 },
    );
  });

  test('a line that passes others has a gap around it, one that joins them has none', () => {
    const gaps = (row: string) => (drawLanes(row, '', 3).markup.match(/class="gap"/g) ?? []).length;
    expect(gaps('*─│─╮')).toBe(1);
    expect(gaps('*─┴─╮')).toBe(0);
    expect(gaps('* │ │')).toBe(0);
  });

  test('a row of a later page goes on from the row before it', () => {
    const vertical = (markup: string) => /y1="(\d+)%" x2="8" y2="(\d+)%"/.exec(markup)!.slice(1);
    expect(vertical(drawLanes('*', '*', 1).markup)).toEqual(['0', '100']);
    expect(vertical(drawLanes('*', '', 1).markup)).toEqual(['50', '100']);
    expect(vertical(drawLanes('o', '*', 1).markup)).toEqual(['0', '50']);
  });

  test('is no wider than the most lanes that are drawn', () => {
    const row = `*${'─┬'.repeat(500)}`;
    const { markup } = drawLanes(row, '', laneCount([row]));
    expect(markup.match(/<line /g)!.length).toBeLessThanOrEqual(2 * MAX_LANES);
  });
});

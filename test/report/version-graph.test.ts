import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { childrenFirst, drawVersionGraph, type GraphVersion } from '../../src/report/version-graph.js';

/** 'chat3 < chat2 main1': a version of model "chat" and its parents. Children first. */
function history(...lines: readonly string[]): GraphVersion[] {
  return lines.map((line) => {
    const [id, ...parents] = line.split(/[ <]+/);
    return { id: id!, model: id!.replace(/\d+$/, ''), parents };
  });
}

const draw = (...lines: readonly string[]) => drawVersionGraph(history(...lines));

/**
 * The parents of each row's version, read from the drawing alone by following its lines down: what a reader does who
 * knows what each character joins.
 */
function readParents(rows: readonly string[]): Set<number>[] {
  const cells = rows.map((row) => [...row]);
  const at = (row: number, column: number) => cells[row]?.[column] ?? ' ';
  const parents = rows.map(() => new Set<number>());
  /** Where a line that leaves a row downwards at a column arrives. */
  const arrival = (row: number, column: number): number | undefined => {
    for (let below = row + 1; below < rows.length; below++) {
      const character = at(below, column);
      if (character === '*' || character === 'o') return below;
      if ('╯╰┴'.includes(character)) {
        // Along the row to its version, behind what it passes.
        return below;
      }
      if (character !== '│')
        throw new Error(`the line at row ${below}, column ${column} ends in '${character}'`);
    }
    return undefined;
  };
  for (const [row, line] of cells.entries()) {
    const node = line.findIndex((character) => '*o'.includes(character));
    expect(line.filter((character) => '*o'.includes(character))).toHaveLength(1);
    const starts = [...line.keys()].filter((column) => '╮╭┬'.includes(line[column]!));
    // What stands beside the version hangs together with it without a gap.
    for (const column of [...starts, ...[...line.keys()].filter((column) => '╯╰┴'.includes(line[column]!))]) {
      const between = line.slice(Math.min(column, node) + 1, Math.max(column, node));
      expect(between.every((character) => '─│┴┬'.includes(character))).toBe(true);
      expect(between.filter((_, i) => (Math.min(column, node) + 1 + i) % 2 === 1)).not.toContain('│');
    }
    if (line[node] === '*') starts.push(node);
    for (const column of starts) {
      const parent = arrival(row, column);
      if (parent !== undefined) parents[row]!.add(parent);
    }
  }
  return parents;
}

/** Histories whose versions have up to three parents among the later ones, of a few models. */
const histories = fc
  .array(
    fc.record({
      model: fc.constantFrom('main', 'chat', 'code'),
      parents: fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 3 }),
    }),
    { maxLength: 25 },
  )
  .map((versions) =>
    versions.map(
      ({ model, parents }, i): GraphVersion => ({
        id: `v${i}`,
        model,
        parents: parents.map((distance) => `v${i + distance}`),
      }),
    ),
  );

describe('drawVersionGraph', () => {
  test('one model is one lane', () => {
    expect(draw('main3 < main2', 'main2 < main1', 'main1')).toEqual(['*', '*', 'o']);
  });

  test('a branch has a lane of its own, which ends beside the version that it began at', () => {
    expect(draw('chat2 < chat1', 'main3 < main2', 'chat1 < main1', 'main2 < main1', 'main1')).toEqual([
      '*',
      '│ *',
      '* │',
      '│ *',
      '╰─o',
    ]);
  });

  test('a version of several parents opens a lane for each further one', () => {
    expect(draw('main3 < main2 chat1', 'chat1 < main1', 'main2 < main1', 'main1')).toEqual([
      '*─╮',
      '│ *',
      '* │',
      'o─╯',
    ]);
  });

  test('several branches of one version meet it in one row, and lines that pass run in front', () => {
    expect(
      draw('main2 < main1', 'other2 < other1', 'chat2 < main1', 'code2 < main1', 'main1', 'other1'),
    ).toEqual(['*', '│ *', '│ │ *', '│ │ │ *', 'o─│─┴─╯', '  o']);
  });

  test('lines cross lanes that ended, and the example of the module is as it says', () => {
    expect(draw('chat3 < main2', 'code2 < code1', 'code1 < main2 main1', 'main2 < main1', 'main1')).toEqual([
      '*',
      '│ *',
      '│ *─╮',
      '*─╯ │',
      'o───╯',
    ]);
  });

  test('a lane that ended is free for the next model', () => {
    expect(draw('chat1', 'code1', 'main2 < main1', 'main1')).toEqual(['o', 'o', '*', 'o']);
  });

  test('a parent that is not listed, as a limit or a removal leaves it, is not drawn', () => {
    expect(draw('main9 < main8', 'chat1 < main8')).toEqual(['o', 'o']);
  });

  test('a parent named twice is one', () => {
    expect(draw('main2 < main1 main1', 'main1')).toEqual(['*', 'o']);
  });

  test('no version, no row', () => expect(drawVersionGraph([])).toEqual([]));

  test('the drawing of any history says exactly which version has which parents', () => {
    fc.assert(
      fc.property(histories, (versions) => {
        const row = new Map(versions.map(({ id }, i) => [id, i]));
        const expected = versions.map(
          ({ parents }) => new Set(parents.map((id) => row.get(id)).filter((at) => at !== undefined)),
        );
        expect(readParents(drawVersionGraph(versions))).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  test('ten thousand versions of a hundred models are drawn in a moment', () => {
    const versions = Array.from(
      { length: 10_000 },
      (_, i): GraphVersion => ({
        id: `v${i}`,
        model: `m${i % 100}`,
        parents: i + 100 < 10_000 ? [`v${i + 100}`] : [],
      }),
    );
    const start = performance.now();
    expect(drawVersionGraph(versions)[5000]).toBe(`${'│ '.repeat(99)}│`.replace(/^│/, '*'));
    expect(performance.now() - start).toBeLessThan(2000);
  });
});

describe('childrenFirst', () => {
  test('leaves an order alone in which no version comes before its child', () => {
    const versions = history('main3 < main2', 'chat1 < main1', 'main2 < main1', 'main1');
    expect(childrenFirst(versions)).toEqual(versions);
  });

  test('moves a version behind a child whose clock was slow', () => {
    expect(childrenFirst(history('main1', 'main2 < main1', 'chat1')).map(({ id }) => id)).toEqual([
      'main2',
      'main1',
      'chat1',
    ]);
  });

  test('of any order makes one with all of them and children before parents', () => {
    fc.assert(
      fc.property(histories, fc.infiniteStream(fc.nat()), (versions, keys) => {
        const keyed = versions.map((version) => ({ version, key: keys.next().value as number }));
        const shuffled = keyed.sort((a, b) => a.key - b.key).map(({ version }) => version);
        const ordered = childrenFirst(shuffled);
        expect(new Set(ordered)).toEqual(new Set(versions));
        const row = new Map(ordered.map(({ id }, i) => [id, i]));
        for (const { id, parents } of ordered) {
          for (const parent of parents)
            expect(row.get(parent) ?? Number.POSITIVE_INFINITY).toBeGreaterThan(row.get(id)!);
        }
      }),
    );
  });

  test('a history longer than the call stack is deep is no trouble', () => {
    const versions = Array.from(
      { length: 50_000 },
      (_, i): GraphVersion => ({
        id: `v${i}`,
        model: 'main',
        parents: [`v${i + 1}`],
      }),
    );
    expect(childrenFirst([...versions].reverse())).toEqual(versions);
  });
});

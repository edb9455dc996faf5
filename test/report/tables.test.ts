import { describe, expect, test } from 'vitest';
import { printable, printableLines } from '../../src/report/printable.js';
import { renderTable } from '../../src/report/table.js';
import { groupTensors } from '../../src/report/tensor-groups.js';
import { tensorReport } from '../cli/doubles.js';

describe('renderTable', () => {
  const columns = [{ title: 'name' }, { title: 'bytes', align: 'right' as const }];

  test('text starts and numbers end in one column, without trailing blanks', () => {
    expect(
      renderTable(columns, [
        ['a', '5 B'],
        ['long name', '1.00 kB'],
      ]),
    ).toBe('name         bytes\na              5 B\nlong name  1.00 kB\n');
    expect(renderTable([...columns].reverse(), [['1', 'a']])).toBe('bytes  name\n    1  a\n');
  });

  test('without rows there is the header', () => expect(renderTable(columns, [])).toBe('name  bytes\n'));

  test('a row of another length is refused', () => {
    expect(() => renderTable(columns, [['a']])).toThrow(RangeError);
  });

  test('a cell is one line and cannot move the cursor', () => {
    expect(renderTable([{ title: 'n' }], [['a\nb\u001b[A']])).toBe('n\na\\u000ab\\u001b[A\n');
  });
});

test('printable keeps letters of every script and escapes what reorders or controls', () => {
  expect(printable('层.weight é 😀')).toBe('层.weight é 😀');
  expect(printable('\u009b\u202ex')).toBe('\\u009b\\u202ex');
  expect(printableLines('a\nb\r')).toBe('a\nb\\u000d');
});

describe('groupTensors', () => {
  const names = (tensors: Parameters<typeof groupTensors>[0], each?: boolean) =>
    groupTensors(tensors, each).map((group) => group.pattern);

  test('names that differ in whole numbers form a group', () => {
    const tensors = ['l.0.w', 'l.1.w', 'l.10.w', 'embed.w'].map((name) => tensorReport({ name }));
    expect(names(tensors)).toEqual(['l.*.w', 'embed.w']);
    expect(names(tensors, true)).toEqual(['l.0.w', 'l.1.w', 'l.10.w', 'embed.w']);
  });

  test('a number that all members share is shown', () => {
    expect(names([tensorReport({ name: 'x.2.h.0' }), tensorReport({ name: 'x.2.h.1' })])).toEqual([
      'x.2.h.*',
    ]);
  });

  test('numbers inside a word tell tensors apart', () => {
    expect(names([tensorReport({ name: 'l.0.w1' }), tensorReport({ name: 'l.0.w2' })])).toEqual([
      'l.0.w1',
      'l.0.w2',
    ]);
  });

  test('tensors that were handled differently stay apart', () => {
    const tensors = [tensorReport({ name: 'l.0.w' }), tensorReport({ name: 'l.1.w', case: 'identical' })];
    expect(names(tensors)).toEqual(['l.0.w', 'l.1.w']);
  });

  test('sums bytes, and keeps the extent of rank and error', () => {
    const [group] = groupTensors([
      tensorReport({ name: 'l.0.w', rank: 3, relativeError: 0.5, byteLength: 10, fineTunedByteLength: 100 }),
      tensorReport({ name: 'l.1.w', rank: 9, relativeError: 0.4, byteLength: 20, fineTunedByteLength: 100 }),
    ]);
    expect(group).toMatchObject({
      rank: [3, 9],
      relativeError: [0.4, 0.5],
      byteLength: 30,
      fineTunedByteLength: 200,
    });
  });

  test('no tensors, no groups', () => expect(groupTensors([])).toEqual([]));
});

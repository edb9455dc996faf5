import { describe, expect, test } from 'vitest';
import type { LogEntry, LogOptions } from '../../src/store/api.js';
import { capturedStream } from './doubles.js';
import { logEntry, runWithStore, versionId } from './store-doubles.js';

const entry = (number: number, model: string, parents: readonly number[], fields: Partial<LogEntry> = {}) =>
  logEntry({ id: versionId(number), model, parents: parents.map(versionId), names: [], ...fields });

const HISTORY = [
  entry(9, 'chat', [7], { names: ['chat', 'v1.0'], message: 'longer context\n\nwith more to say' }),
  entry(8, 'main', [6], { names: ['main'] }),
  entry(7, 'chat', [5]),
  entry(6, 'main', [5], { relativeError: 0.317 }),
  entry(5, 'main', []),
];

const log = async () => HISTORY;

describe('ere log', () => {
  test('a line a version with what it added, its error, its names and the first line of its message', async () => {
    expect((await runWithStore(['log'], { log })).stdout).toBe(
      [
        'version   time (UTC)         added  share  error  model  message',
        '00095e5e  2026-11-22 02:10  284 kB  2.9 %  exact  chat   (chat, v1.0) longer context',
        '00085e5e  2026-11-22 02:10  284 kB  2.9 %  exact  main   (main) step 100',
        '00075e5e  2026-11-22 02:10  284 kB  2.9 %  exact  chat   step 100',
        '00065e5e  2026-11-22 02:10  284 kB  2.9 %  0.317  main   step 100',
        '00055e5e  2026-11-22 02:10  284 kB  2.9 %  exact  main   step 100',
        '',
      ].join('\n'),
    );
  });

  test('of one model has no column for it; ref and limit go to the store', async () => {
    let seen: LogOptions | undefined;
    const ofChat = async (options?: LogOptions) => {
      seen = options;
      return HISTORY.filter(({ model }) => model === 'chat');
    };
    const { stdout } = await runWithStore(['log', 'chat', '--limit', '2'], { log: ofChat });
    expect(seen).toMatchObject({ ref: 'chat', limit: 2 });
    expect(stdout.split('\n')[0]).toBe('version   time (UTC)         added  share  error  message');
  });

  test('--graph draws branches, children before parents whatever the order of clocks', async () => {
    const shuffled = async () => [...HISTORY].reverse();
    const lanes = (text: string) => text.split('\n').map((line) => line.slice(0, 3).trimEnd());
    expect(lanes((await runWithStore(['log', '--graph'], { log })).stdout)).toEqual([
      '',
      '*',
      '│ *',
      '* │',
      '│ *',
      '╰─o',
      '',
    ]);
    expect(lanes((await runWithStore(['log', '--graph'], { log: shuffled })).stdout).at(-2)).toMatch(/o/);
  });

  test('digits of ids are as many as tell them apart', async () => {
    const alike = ['a', 'b'].map((last) =>
      logEntry({ id: `sha256:${'0'.repeat(11)}${last}${'0'.repeat(52)}` }),
    );
    const { stdout } = await runWithStore(['log'], { log: async () => alike });
    expect(stdout).toContain(`\n${'0'.repeat(11)}a  `);
  });

  test('on a terminal lines are cut to its width, else they are whole', async () => {
    const stdout = capturedStream({ isTTY: true, columns: 60 });
    const long = async () => [logEntry({ message: 'x'.repeat(100) })];
    await runWithStore(['log'], { log: long }, { stdout });
    const lines = stdout.text.trimEnd().split('\n');
    expect(lines[1]).toHaveLength(60);
    expect(lines[1]!.endsWith('x…')).toBe(true);
    expect((await runWithStore(['log'], { log: long })).stdout).toContain('x'.repeat(100));
  });

  test('of an empty store is nothing on stdout, and a note', async () => {
    const empty = async () => [];
    const { status, stdout, stderr } = await runWithStore(['log'], { log: empty });
    expect([status, stdout]).toEqual([0, '']);
    expect(stderr).toContain('no versions yet');
    expect((await runWithStore(['log', '--quiet'], { log: empty })).stderr).toBe('');
    expect(JSON.parse((await runWithStore(['log', '--json'], { log: empty })).stdout)).toEqual([]);
  });

  test('a thousand versions of ten models are one write, in a part of 300 ms', async () => {
    const many = Array.from({ length: 1000 }, (_, i) =>
      entry(i, `model-${i % 10}`, i < 990 ? [i + 10] : [], { message: `step ${i}` }),
    );
    let writes = 0;
    const stdout = {
      write(_: string, done: () => void) {
        writes += 1;
        done();
        return true;
      },
    };
    await runWithStore(['log', '--graph'], { log }); // loads and warms
    const start = performance.now();
    await runWithStore(['log', '--graph'], { log: async () => many }, { stdout });
    expect(performance.now() - start).toBeLessThan(200);
    expect(writes).toBe(1);
  });
});

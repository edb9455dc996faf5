/** Versions that are open: each once however many ask, the last used of them, and closed when nobody uses it. */
import { describe, expect, test } from 'vitest';
import { NotFoundError } from '../../formats/errors.js';
import type { ServedVersion } from '../../src/serve/catalog.js';
import { OpenedVersions, Shared } from '../../src/serve/opened-versions.js';

/** Versions that are told apart by their number, and counts of what was opened and closed. */
function versions() {
  const [opened, closed]: string[][] = [[], []];
  const open = async (key: string) => {
    const name = `${key} ${opened!.filter((found) => found.startsWith(`${key} `)).length}`;
    opened!.push(name);
    await new Promise((resolve) => setTimeout(resolve, 1));
    const version = { model: name } as ServedVersion;
    const close = async (): Promise<void> => void closed!.push(name);
    return { version, close };
  };
  return { opened: opened!, closed: closed!, open };
}

describe('OpenedVersions', () => {
  test('opens once for many who ask, and keeps the sixteen that were used last', async () => {
    const { opened, closed, open } = versions();
    const all = new OpenedVersions();
    const get = (key: string) => all.get(key, () => open(key));
    const [first, second] = await Promise.all([get('a'), get('a')]);
    expect(first).toBe(second);
    for (let i = 0; i < 15; i++) await get(`${i}`);
    await get('a');
    await get('next');
    expect(await get('a')).toBe(first);
    expect(closed).toEqual(['0 0']);
    expect((await get('0')).model).toBe('0 1');
    expect(opened).toHaveLength(18);
    await all.close();
    expect(closed).toHaveLength(18);
  });

  test('what could not be opened is tried again by the next who asks', async () => {
    const { open } = versions();
    const all = new OpenedVersions();
    const failing = async () => {
      throw new NotFoundError('no base');
    };
    await expect(Promise.all([all.get('a', failing), all.get('a', failing)])).rejects.toThrow('no base');
    expect((await all.get('a', () => open('a'))).model).toBe('a 0');
  });

  test('one that is stale is opened anew once, however many find it so', async () => {
    const { opened, closed, open } = versions();
    const all = new OpenedVersions();
    const stale = await all.get('a', () => open('a'));
    const again = await Promise.all([1, 2, 3].map(() => all.reopen('a', stale, () => open('a'))));
    expect(new Set(again.map(({ model }) => model))).toEqual(new Set(['a 1']));
    expect([opened, closed]).toEqual([['a 0', 'a 1'], ['a 0']]);
    expect(await all.get('a', () => open('a'))).toBe(again[0]);
  });

  test('one that was closed as others were used is opened anew', async () => {
    const { open } = versions();
    const all = new OpenedVersions();
    const stale = await all.get('a', () => open('a'));
    for (let i = 0; i < 16; i++) await all.get(`${i}`, () => open(`${i}`));
    expect((await all.reopen('a', stale, () => open('a'))).model).toBe('a 1');
  });
});

describe('Shared', () => {
  test('is closed when it is to be and nobody uses it, once', async () => {
    let closed = 0;
    let finish = (): void => {};
    const shared = new Shared(async () => void closed++);
    const using = shared.use(
      () =>
        new Promise<string>((resolve) => {
          finish = () => resolve('done');
        }),
    );
    await shared.end();
    expect(closed).toBe(0);
    // Whoever comes while it is in use still gets it.
    expect(await shared.use(async () => closed)).toBe(0);
    finish();
    expect(await using).toBe('done');
    await shared.end();
    expect(closed).toBe(1);
    await expect(shared.use(async () => {})).rejects.toBeInstanceOf(NotFoundError);
  });
});

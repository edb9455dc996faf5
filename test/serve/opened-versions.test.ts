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
    const retry = () =>
      all.retry(
        'a',
        stale,
        () => open('a'),
        async (version) => version,
      );
    const again = await Promise.all([1, 2, 3].map(retry));
    expect(new Set(again.map(({ model }) => model))).toEqual(new Set(['a 1']));
    expect([opened, closed]).toEqual([['a 0', 'a 1'], ['a 0']]);
    expect(await all.get('a', () => open('a'))).toBe(again[0]);
  });

  test('where the one that is open is stale, too, it is opened anew, once for all', async () => {
    const { opened, open } = versions();
    const all = new OpenedVersions();
    const get = (key: string) => all.get(key, () => open(key));
    const stale = await get('a');
    for (let i = 0; i < 16; i++) await get(`${i}`);
    await get('a');
    const work = async ({ model }: ServedVersion) => {
      if (model !== 'a 2') throw new NotFoundError('an object');
      return model;
    };
    const retry = () => all.retry('a', stale, () => open('a'), work);
    expect(await Promise.all([retry(), retry(), retry()])).toEqual(['a 2', 'a 2', 'a 2']);
    expect(opened.filter((name) => name.startsWith('a'))).toEqual(['a 0', 'a 1', 'a 2']);
  });

  test('work whose version is closed before it is used gets one of its own, closed when it ends', async () => {
    const { opened, closed, open } = versions();
    const all = new OpenedVersions();
    const stale = await all.get('a', () => open('a'));
    for (let i = 0; i < 16; i++) await all.get(`${i}`, () => open(`${i}`));
    const used: string[] = [];
    const work = async ({ model }: ServedVersion) => {
      used.push(model);
      if (used.length > 1) return expect(closed).not.toContain(model);
      for (let i = 0; i < 16; i++) await all.get(`b${i}`, () => open(`b${i}`));
      throw new NotFoundError('it was closed');
    };
    await all.retry('a', stale, () => open('a'), work);
    expect(used).toEqual(['a 1', 'a 2']);
    expect(closed).toContain('a 2');
    expect(opened.filter((name) => name.startsWith('a'))).toHaveLength(3);
  });

  test('what fails for another reason, or where nothing was crowded out, is not tried for ever', async () => {
    const { opened, open } = versions();
    const all = new OpenedVersions();
    const stale = await all.get('a', () => open('a'));
    const retry = (error: Error) =>
      all.retry(
        'a',
        stale,
        () => open('a'),
        () => Promise.reject(error),
      );
    await expect(retry(new NotFoundError('gone'))).rejects.toThrow('gone');
    expect(opened).toEqual(['a 0', 'a 1', 'a 2']);
    await expect(retry(new Error('else'))).rejects.toThrow('else');
    expect(opened).toHaveLength(3);
  });

  test('of many that are asked for at once four are opened at a time, and none is closed before it is had', async () => {
    const { closed, open } = versions();
    const all = new OpenedVersions();
    let [opening, most] = [0, 0];
    const get = async (key: string) => {
      const { model } = await all.get(key, async () => {
        most = Math.max(most, ++opening);
        return open(key).finally(() => opening--);
      });
      expect(closed).not.toContain(model);
    };
    await Promise.all(Array.from({ length: 80 }, (_, i) => get(`${i}`)));
    expect(most).toBe(4);
    expect(closed).toHaveLength(64);
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

/** Workers decode as the page's own thread does, fail as it does, and are ended whatever happens. */
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import * as web from '../../src/web/index.js';
import { digestOf } from '../helpers/archive-builder.js';
import { goldenPath } from '../helpers/golden.js';
import { WebWorker } from '../helpers/web-worker.js';

async function blob(path: string, change?: (bytes: Buffer) => void): Promise<Blob> {
  const bytes = await readFile(goldenPath('coded', path));
  change?.(bytes);
  return new Blob([bytes]);
}

async function digestsOf(options: web.WebDecodeOptions): Promise<string[]> {
  const digests: string[] = [];
  for await (const { bytes } of web.decode(options)) digests.push(digestOf(bytes));
  return digests;
}

beforeEach(() => void vi.stubGlobal('Worker', WebWorker));
afterEach(() => {
  vi.unstubAllGlobals();
  expect(WebWorker.running.size).toBe(0);
});

describe('workers', () => {
  test('give the tensors in order', async () => {
    const archive = await web.openArchive(await blob('archive.ere'));
    const base = await blob('base/model.safetensors');
    const made = vi.spyOn(WebWorker.running, 'add');
    const expected = archive.index.tensors.map(({ digest }) => digest);
    for (const threads of [1, 3]) {
      made.mockClear();
      expect(await digestsOf({ archive, base, threads })).toEqual(expected);
      expect(made).toHaveBeenCalledTimes(Math.min(threads, expected.length));
    }
  });

  test('are not asked for where they could not open the sources', async () => {
    const archive = await web.openArchive(await blob('archive.ere'));
    const base = await web.openBase(await blob('base/model.safetensors'));
    const made = vi.spyOn(WebWorker.running, 'add');
    made.mockClear();
    expect((await digestsOf({ archive, base, threads: 2 })).length).toBe(archive.index.tensors.length);
    expect((await digestsOf({ archive, base, threads: 0 })).length).toBe(archive.index.tensors.length);
    expect(made).not.toHaveBeenCalled();
  });

  test('whose script does not load leave the work to the page', async () => {
    class Missing extends WebWorker {
      constructor() {
        super(new URL('file:///there/is/no/such/script.js'));
      }
    }
    vi.stubGlobal('Worker', Missing);
    const archive = await web.openArchive(await blob('archive.ere'));
    const base = await blob('base/model.safetensors');
    expect((await digestsOf({ archive, base, threads: 2 })).length).toBe(archive.index.tensors.length);
  });

  test('fail with the errors of the page', async () => {
    const damaged = await blob('archive.ere', (bytes) => {
      bytes[bytes.length - 1]! ^= 1;
    });
    const archive = await web.openArchive(damaged);
    const base = await blob('base/model.safetensors');
    await expect(digestsOf({ archive, base, threads: 1 })).rejects.toSatisfy((error) =>
      web.isEreError(error, 'ERE_INTEGRITY'),
    );
  });

  test('are ended by an abort and by who stops early', async () => {
    const archive = await web.openArchive(await blob('archive.ere'));
    const base = await blob('base/model.safetensors');
    const controller = new AbortController();
    const tensors = web.decode({ archive, base, threads: 1, signal: controller.signal });
    await tensors.next();
    controller.abort();
    await expect(tensors.next()).rejects.toMatchObject({ code: 'ERE_ABORTED' });
    for await (const _ of web.decode({ archive, base, threads: 2 })) break;
  });
});

import { appendFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { GrowingFile, sharedFileSource } from '../../src/io/growing-file.js';
import { withTempFolder } from '../helpers/temp-folder.js';

const TEXT = 'what is written while it is read';
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const isPending = async (promise: Promise<unknown>) => {
  const pending = Symbol();
  const turn = new Promise((resolve) => setImmediate(resolve, pending));
  return (await Promise.race([promise, turn])) === pending;
};

async function withGrowing(use: (file: GrowingFile, path: string) => Promise<void>): Promise<void> {
  await withTempFolder(async (folder) => {
    const file = new GrowingFile(TEXT.length);
    const path = join(folder, 'part');
    await writeFile(path, TEXT.slice(0, 4));
    try {
      await use(file, path);
    } finally {
      await file.close();
    }
  });
}

test('a read waits for the last of its bytes, whatever the file is called by then', async () => {
  await withGrowing(async (file, path) => {
    await file.begin(path, 4);
    expect(await file.begun).toBe(true);
    const source = file.source();
    expect(source.byteLength).toBe(TEXT.length);
    expect(textOf(await source.read(0, 4))).toBe('what');
    const [near, far] = [source.read(2, 5), source.read(8, 7)];
    await appendFile(path, TEXT.slice(4, 10));
    file.wrote(10);
    expect(textOf(await near)).toBe('at is');
    expect(await isPending(far)).toBe(true);
    await appendFile(path, TEXT.slice(10));
    await rename(path, `${path} whole`);
    file.wrote(TEXT.length);
    expect(textOf(await far)).toBe('written');
    const shared = sharedFileSource(structuredClone(file.shared()));
    expect(textOf(await shared.read(0, TEXT.length))).toBe(TEXT);
    await shared.close();
    expect(textOf(await source.read(0, 4))).toBe('what');
    await expect(source.read(0, TEXT.length + 1)).rejects.toThrow(RangeError);
  });
});

test('it is whole when the writer says so, and not when all bytes are there', async () => {
  await withGrowing(async (file, path) => {
    await file.begin(path, TEXT.length);
    await file.arrived(TEXT.length);
    expect(await isPending(file.whole)).toBe(true);
    file.end();
    await file.whole;
  });
});

test('who waits for what never comes gets the error of the writer; what is there is still read', async () => {
  await withGrowing(async (file, path) => {
    await file.begin(path, 4);
    const waiting = file.arrived(5);
    file.end(new Error('cut off'));
    await expect(waiting).rejects.toThrow('cut off');
    await expect(file.arrived(6)).rejects.toThrow('cut off');
    await expect(file.whole).rejects.toThrow('cut off');
    await rm(path);
    expect(textOf(await file.source().read(0, 4))).toBe('what');
  });
});

test('a writer that ends early without an error leaves nobody waiting', async () => {
  await withGrowing(async (file, path) => {
    await file.begin(path, 4);
    const waiting = file.arrived(5);
    file.end();
    await expect(waiting).rejects.toMatchObject({ code: 'ERE_IO', message: expect.stringContaining(path) });
  });
});

test('where there was nothing to write it was not begun', async () => {
  await withGrowing(async (file) => {
    file.end();
    expect(await file.begun).toBe(false);
  });
});

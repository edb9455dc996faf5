/** Reading and writing in the calling thread: the same bytes and errors, turns of the event loop, slow devices left to others. */
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { IoError } from '../../formats/errors.js';
import { openFileSource } from '../../src/io/file-source.js';
import { openOutputFile } from '../../src/io/output-file.js';
import { promptHandle } from '../../src/io/prompt-handle.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ere-prompt-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function fileOf(text: string, name = 'file'): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

test('what is written at offsets is read at offsets', async () => {
  const path = await fileOf('..........');
  const output = await openOutputFile(path, { isPrompt: true });
  await output.writeAt(7, Buffer.from('abc'));
  await output.writeAt(1, Buffer.from('xy'));
  await output.truncate(12);
  await output.flush();
  await output.close();
  const source = await openFileSource(path, { isPrompt: true });
  expect(source.byteLength).toBe(12);
  expect(Buffer.from(await source.read(0, 12)).toString()).toBe('.xy....abc\0\0');
  const room = new Uint8Array(3);
  expect(await source.read(7, 3, room)).toBe(room);
  expect(Buffer.from(room).toString()).toBe('abc');
  await source.close();
  await expect(source.read(0, 1)).rejects.toThrow('the file is closed');
});

test('errors name the file, as those of any source do', async () => {
  const path = await fileOf('abc');
  const source = await openFileSource(path, { isPrompt: true });
  const cut = await open(path, 'r+');
  await cut.truncate(1);
  await cut.close();
  await expect(source.read(0, 3)).rejects.toThrow(`${path}: ends at byte 1, had 3 bytes`);
  await source.close();
  const handle = await open(path, 'r');
  const output = promptHandle(handle);
  await expect(output.write(new Uint8Array(1), 0, 1, 0)).rejects.toMatchObject({ code: 'EBADF' });
  await output.close();
  await expect(openOutputFile(join(path, 'below'), { isPrompt: true })).rejects.toThrow('cannot open');
  await expect(openFileSource(folder, { isPrompt: true })).rejects.toBeInstanceOf(IoError);
});

test('the event loop gets its turns between calls', async () => {
  const source = await openFileSource(await fileOf('abc'), { isPrompt: true });
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const end = performance.now() + 150;
  while (performance.now() < end) await source.read(0, 3);
  clearInterval(timer);
  expect(turns).toBeGreaterThan(1);
  await source.close();
});

test('after a call that waited, the next sixteen are left to other threads', async () => {
  const handle = await open(await fileOf('abc'), 'r');
  const elsewhere = vi.spyOn(handle, 'read');
  const prompt = promptHandle(handle);
  const read = () => prompt.read(new Uint8Array(1), 0, 1, 0);
  // Every look at the clock finds a second gone.
  let now = performance.now();
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (now += 1000));
  await read();
  expect(elsewhere).not.toHaveBeenCalled();
  for (let i = 0; i < 17; i++) expect(await read()).toMatchObject({ bytesRead: 1 });
  clock.mockRestore();
  expect(elsewhere).toHaveBeenCalledTimes(16);
  await prompt.close();
});

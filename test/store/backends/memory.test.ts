import { expect, it } from 'vitest';
import { createMemoryBackend } from '../../../src/store/backends/memory.js';
import { describeBackend } from '../../conformance/backend-suite.js';

describeBackend('memory', async () => ({ backend: createMemoryBackend(), async remove() {} }));

it('what is read from memory is a copy: writing to it changes no value', async () => {
  const backend = createMemoryBackend('mine');
  const content = new Uint8Array([1, 2, 3]);
  await backend.write('a', content);
  content.fill(9);
  (await backend.read('a')).fill(9);
  const open = await backend.open('a');
  (await open.read(0, 3)).fill(9);
  expect(await backend.read('a')).toEqual(new Uint8Array([1, 2, 3]));
  await expect(backend.read('b')).rejects.toThrow('memory:mine/b: there is no such value');
});

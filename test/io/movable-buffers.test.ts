/** Which buffers may leave a thread with a message. */
import { expect, test } from 'vitest';
import { movableBuffers } from '../../src/io/movable-buffers.js';

test('buffers that a view fills move, each once; parts, the pool of Node and shared memory stay', () => {
  const own = new Uint8Array(4);
  const floats = new Float32Array(own.buffer);
  const part = new Uint8Array(8).subarray(2);
  const shared = new Uint8Array(new SharedArrayBuffer(4));
  const pooled = Buffer.from('a few bytes');
  const empty = new Uint8Array(0);
  expect(movableBuffers([own, part, shared, floats, pooled, empty])).toEqual([own.buffer]);
});

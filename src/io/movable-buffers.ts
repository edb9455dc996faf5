/**
 * What can move from one thread to another instead of being copied. A buffer that is listed leaves its thread for good,
 * with every view of it.
 */

/**
 * The buffers that belong to these views alone, each once. Parts of larger buffers stay: others may use the rest, and
 * Node's pool cannot move at all. Neither does shared memory, which needs not.
 */
export function movableBuffers(views: Iterable<ArrayBufferView>): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const { buffer, byteLength } of views) {
    if (buffer instanceof ArrayBuffer && byteLength > 0 && byteLength === buffer.byteLength)
      buffers.add(buffer);
  }
  return [...buffers];
}

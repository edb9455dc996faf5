import type { Key, StoreBackend } from '../../src/store/backend.js';

/** Adds 1 to the number at a key, `count` times, against any others that do. */
export async function increment(backend: StoreBackend, key: Key, count: number): Promise<void> {
  for (let done = 0; done < count; ) {
    const current = await backend.read(key).catch((error) => {
      if (error.code === 'ERE_NOT_FOUND') return undefined;
      throw error;
    });
    const number = current === undefined ? 0 : Number(new TextDecoder().decode(current));
    const next = new TextEncoder().encode(String(number + 1));
    if (await backend.compareAndSwap(key, current, next)) done++;
  }
}

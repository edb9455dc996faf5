/** A backend that tells of each call, so that a test can come between, or let it fail. */
import type { Key, StoreBackend } from '../../src/store/backend.js';

/** 'free' is a removal: it needs no room. */
export type WatchedCall = 'read' | 'write' | 'free';

export interface Watcher {
  /** What it throws is what the call throws. */
  before?(call: WatchedCall, key: Key): Promise<void> | void;
  /** After changes. */
  after?(call: WatchedCall, key: Key): Promise<void> | void;
}

export function watchedBackend(backend: StoreBackend, { before, after }: Watcher): StoreBackend {
  const { location, isReadOnly, folder } = backend;
  return {
    location,
    isReadOnly,
    ...(folder === undefined ? {} : { folder }),
    async read(key, options) {
      await before?.('read', key);
      return backend.read(key, options);
    },
    async open(key, options) {
      await before?.('read', key);
      return backend.open(key, options);
    },
    stat: (key, options) => backend.stat(key, options),
    list: (prefix, options) => backend.list(prefix, options),
    removeLeftovers: (options) => backend.removeLeftovers(options),
    close: () => backend.close(),
    async write(key, content, options) {
      await before?.('write', key);
      await backend.write(key, content, options);
      await after?.('write', key);
    },
    async remove(key, options) {
      await before?.('free', key);
      await backend.remove(key, options);
      await after?.('free', key);
    },
    async compareAndSwap(key, expected, next, options) {
      const call = next === undefined ? 'free' : 'write';
      await before?.(call, key);
      const isSwapped = await backend.compareAndSwap(key, expected, next, options);
      if (isSwapped) await after?.(call, key);
      return isSwapped;
    },
  };
}

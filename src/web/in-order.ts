/** Some tasks at once, their results in order. */
import { throwIfAborted } from '../io/abort.js';

/**
 * Yields each item with its result; up to `count` tasks are in work. When it ends early, for a failure, an abort or
 * because nobody asks for more, tasks are told by their signal and waited for.
 * @throws what the first task in order throws; EreError 'ERE_ABORTED'
 */
export async function* inOrder<Item, Result>(
  items: Iterable<Item>,
  task: (item: Item, signal: AbortSignal) => Promise<Result>,
  count: number,
  signal?: AbortSignal,
): AsyncGenerator<[Item, Result], void, void> {
  const controller = new AbortController();
  const onAbort = () => controller.abort(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const waiting = items[Symbol.iterator]();
  const running: { readonly item: Item; readonly result: Promise<Result> }[] = [];
  const fill = (): void => {
    while (running.length < count) {
      const { done, value } = waiting.next();
      if (done) return;
      const result = task(value, controller.signal);
      result.catch(() => {}); // It is awaited when its turn comes.
      running.push({ item: value, result });
    }
  };
  try {
    throwIfAborted(signal);
    for (fill(); running.length > 0; fill()) {
      const { item, result } = running[0]!;
      const found = await result.catch((error: unknown) => {
        throwIfAborted(signal); // Then it is why the task failed.
        throw error;
      });
      running.shift();
      throwIfAborted(signal);
      yield [item, found];
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    controller.abort();
    await Promise.allSettled(running.map(({ result }) => result));
  }
}

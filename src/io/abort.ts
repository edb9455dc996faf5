/** Waiting that an AbortSignal ends. */
import { EreError } from '../../formats/errors.js';

/** @throws EreError with code ERE_ABORTED when the signal has fired */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortedError(signal);
}

/** The promise's outcome, or ERE_ABORTED as soon as the signal fires; what the promise waits for goes on. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(abortedError(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** Waits; an abort ends it with ERE_ABORTED. */
export async function delay(durationMs: number, signal?: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  let timer: NodeJS.Timeout | undefined;
  try {
    const waited = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, durationMs);
    });
    await abortable(waited, signal);
  } finally {
    clearTimeout(timer);
  }
}

function abortedError(signal: AbortSignal): EreError {
  return new EreError('ERE_ABORTED', 'aborted', { cause: signal.reason });
}

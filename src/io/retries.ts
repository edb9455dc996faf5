/** Asking again what a network did not answer: bounded, with growing random pauses, or as long as the server asks for. */
import { throwIfAborted, delay as wait } from './abort.js';

export interface RetryOptions {
  /** Attempts in all. Default 6: with the pauses about half a minute, longer than a server's restart. */
  readonly attempts?: number;
  /** Longest first pause in milliseconds; it doubles each time. Default 500. */
  readonly pauseMs?: number;
}

/** An answer after which asking again may help. */
export class RetryableError extends Error {
  /** What the server asked for (Retry-After), in milliseconds. */
  readonly afterMs: number | undefined;
  /** The error to throw when there is no attempt left. */
  readonly final: unknown;
  constructor(final: unknown, afterMs?: number) {
    super('retryable', { cause: final });
    this.final = final;
    this.afterMs = afterMs;
  }
}

/** Longest pause, whatever a server asks for. */
const MAX_PAUSE_MS = 60_000;

/**
 * Runs `attempt` until it gives a value or throws anything but a RetryableError.
 * @throws the `final` of the last one's; EreError with code ERE_ABORTED, also while it waits
 */
export async function withRetries<T>(
  options: RetryOptions,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  const attempts = options.attempts ?? 6;
  for (let count = 1, pauseMs = options.pauseMs ?? 500; ; count++, pauseMs *= 2) {
    throwIfAborted(signal);
    try {
      return await attempt();
    } catch (error) {
      throwIfAborted(signal);
      if (!(error instanceof RetryableError)) throw error;
      if (count >= attempts) throw error.final;
      const pause = error.afterMs ?? pauseMs * (0.5 + Math.random() / 2);
      await wait(Math.min(pause, MAX_PAUSE_MS), signal);
    }
  }
}

/** Retry-After (RFC 9110 §10.2.3): seconds, or a date; in milliseconds from now. */
export function parseRetryAfter(text: string | null | undefined): number | undefined {
  if (text === null || text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text.trim())) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

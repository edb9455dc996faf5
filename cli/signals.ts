/** Ctrl-C as an AbortSignal, so that operations remove their temporary files before the process ends. */
import type { EventEmitter } from 'node:events';

/** Names of the signals that end a run in order; also the reasons of the AbortSignal. */
export const INTERRUPTS = ['SIGINT', 'SIGTERM'] as const;
export type Interrupt = (typeof INTERRUPTS)[number];

/** Aborts on the first signal; the second one meets the default handler and kills at once. */
export function interruptSignal(process: EventEmitter): AbortSignal {
  const controller = new AbortController();
  for (const name of INTERRUPTS) process.once(name, () => controller.abort(name));
  return controller.signal;
}

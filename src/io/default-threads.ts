/** How many threads an operation takes by default. */
import { availableParallelism } from 'node:os';

/** Threads to use when the user names none. */
export function defaultThreads(): number {
  return availableParallelism();
}

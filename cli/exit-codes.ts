/** Exit statuses of `ere`, part of its interface: docs/guide/cli.md lists them, a test keeps both equal. */
import { type EreErrorCode, isEreError } from '../formats/errors.js';

/** What a run can end with: success, an error code of the library, or an end the CLI itself adds. */
export type ExitCode = 'OK' | EreErrorCode | 'ERE_USAGE' | 'ERE_UNEXPECTED' | 'ERE_TERMINATED';

const STATUSES = {
  OK: 0,
  ERE_UNEXPECTED: 1,
  ERE_USAGE: 2,
  ERE_FORMAT: 3,
  ERE_UNSUPPORTED: 4,
  ERE_LIMIT: 5,
  ERE_INTEGRITY: 6,
  ERE_CHECKPOINT_MISMATCH: 7,
  ERE_CODEC: 8,
  ERE_BUDGET: 9,
  ERE_NOT_FOUND: 10,
  ERE_CONFLICT: 11,
  ERE_IO: 12,
  ERE_HUB: 13,
  // 128 + the number of the signal, as shells report it.
  ERE_ABORTED: 130,
  ERE_TERMINATED: 143,
} as const satisfies Record<ExitCode, number>;

/** Every code, in order of its status. */
export const EXIT_CODES = Object.keys(STATUSES) as readonly ExitCode[];

/** The process exit status of a code. */
export function exitStatus(code: ExitCode): number {
  return STATUSES[code];
}

/**
 * The code of anything that was thrown. An interrupted run is reported as interrupted, whatever
 * the interruption made fail: `interrupt` is the reason of the run's AbortSignal once it was aborted.
 */
export function exitCodeOf(error: unknown, interrupt?: unknown): ExitCode {
  if (interrupt !== undefined) return interrupt === 'SIGTERM' ? 'ERE_TERMINATED' : 'ERE_ABORTED';
  if (isEreError(error)) return error.code;
  return 'ERE_UNEXPECTED';
}

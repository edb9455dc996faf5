/** One line of progress on a terminal, rewritten in place: phase, share done, rate, time left, tensor. */

import { formatByteLength, formatDuration } from '../../src/report/numbers.js';
import { printable } from '../../src/report/printable.js';
import type { Progress } from '../../src/residual/api.js';
import type { OutputStream } from '../context.js';

// Often enough to look alive, seldom enough to cost nothing.
const REDRAW_INTERVAL_MS = 100;
// A rate over less than this says nothing.
const RATE_AFTER_MS = 1000;
const BAR_WIDTH = 20;
// Back to the first column, and erase to the end of the line.
const ERASE_LINE = '\r\u001b[K';

export interface ProgressLine {
  readonly onProgress: (progress: Progress) => void;
  /** Removes the line, so that what is printed next starts clean. */
  clear(): void;
}

/** A progress line on `stream`; silent unless it is a terminal and `quiet` is false. */
export function createProgressLine(
  stream: OutputStream,
  quiet: boolean,
  now: () => number = () => performance.now(),
): ProgressLine {
  if (stream.isTTY !== true || quiet) return { onProgress: () => {}, clear: () => {} };
  let phase: Progress['phase'] | undefined;
  let startedMs = 0;
  let isUnfinished = false;
  let hiddenSinceMs: number | undefined;
  let drawnMs = Number.NEGATIVE_INFINITY;
  let visible = false;
  const draw = (text: string) => stream.write(text, () => {}); // progress may be lost, results may not
  return {
    onProgress(progress) {
      const nowMs = now();
      // What is decoded while it is downloaded waits for the network: of the two the download is the one to show.
      if (progress.phase === 'decode' && phase === 'download' && isUnfinished) {
        hiddenSinceMs ??= nowMs;
        return;
      }
      isUnfinished = progress.doneByteLength < progress.totalByteLength;
      if (progress.phase !== phase) {
        phase = progress.phase;
        startedMs = hiddenSinceMs ?? nowMs;
        hiddenSinceMs = undefined;
      } else if (nowMs - drawnMs < REDRAW_INTERVAL_MS) return;
      drawnMs = nowMs;
      visible = true;
      // One column stays free: a full line would wrap on some terminals and no longer be erased.
      draw(
        ERASE_LINE +
          [...progressText(progress, nowMs - startedMs)].slice(0, (stream.columns ?? 80) - 1).join(''),
      );
    },
    clear() {
      if (visible) draw(ERASE_LINE);
      visible = false;
    },
  };
}

/** 'encode [########------------]  40 %  12.3 MB/s  4.1 s left  model.layers.3.mlp.up_proj.weight'. */
export function progressText(progress: Progress, elapsedMs: number): string {
  const { doneByteLength, totalByteLength } = progress;
  const share = totalByteLength === 0 ? 1 : Math.min(1, doneByteLength / totalByteLength);
  const filled = Math.floor(share * BAR_WIDTH);
  const bar = `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}]`;
  const parts = [`${progress.phase} ${bar}`, `${Math.floor(share * 100)} %`.padStart(5)];
  if (elapsedMs >= RATE_AFTER_MS && doneByteLength > 0) {
    const bytesPerMs = doneByteLength / elapsedMs;
    parts.push(`${formatByteLength(bytesPerMs * 1000)}/s`);
    parts.push(`${formatDuration((totalByteLength - doneByteLength) / bytesPerMs)} left`);
  }
  return [...parts, printable(progress.tensor)].join('  ');
}

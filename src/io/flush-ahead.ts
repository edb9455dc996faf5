/**
 * Flushing while the work goes on: the disk writes what is there, and the flush that ends an atomic output finds
 * little left to wait for.
 */
import type { OutputFile } from './output-file.js';

/** Bytes between flushes: tenths of a second of an ordinary disk. */
const STEP_BYTE_LENGTH = 256 << 20;

export interface FlushAhead {
  /** To be told of every progress, in bytes written since the start. */
  wrote(byteLength: number): void;
  /** Waits for the flush that runs. @throws IoError of any flush */
  settle(): Promise<void>;
}

export function flushAhead(files: readonly OutputFile[]): FlushAhead {
  let flushedTo = 0;
  let running: Promise<void> | undefined;
  let failure: unknown;
  const flush = async (): Promise<void> => {
    try {
      for (const file of files) await file.flush();
    } catch (error) {
      // The system tells of an error once: later flushes would not.
      failure ??= error;
    }
    running = undefined;
  };
  return {
    wrote(byteLength) {
      if (running !== undefined || byteLength - flushedTo < STEP_BYTE_LENGTH) return;
      flushedTo = byteLength;
      running = flush();
    },
    async settle() {
      await running;
      if (failure !== undefined) throw failure;
    },
  };
}

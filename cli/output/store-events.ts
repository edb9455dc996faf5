/** What a store's operation says while it lasts: progress in place, and a line on stderr for what people should know. */
import { printable } from '../../src/report/printable.js';
import type { StoreEvent } from '../../src/store/api.js';
import type { OutputStream } from '../context.js';
import { createProgressLine } from './progress.js';

export interface EventReporter {
  readonly onEvent: (event: StoreEvent) => void;
  /** Prints a warning that was not printed before: reports repeat what events have said. */
  readonly warn: (message: string) => void;
  /** Removes the progress line, so that what is printed next starts clean. */
  clear(): void;
}

/** Reports to `stream`. With `json` nothing is said, with `quiet` warnings only. */
export function createEventReporter(
  stream: OutputStream,
  { quiet = false, json = false }: { readonly quiet?: boolean; readonly json?: boolean },
): EventReporter {
  const line = createProgressLine(stream, quiet || json);
  const warned = new Set<string>();
  const say = (text: string) => {
    line.clear();
    stream.write(`${printable(text)}\n`, () => {}); // as progress, this may be lost; results may not
  };
  const note = (text: string) => {
    if (!quiet && !json) say(text);
  };
  const warn = (message: string) => {
    if (json || warned.has(message)) return;
    warned.add(message);
    say(`warning: ${message}`);
  };
  return {
    onEvent(event) {
      switch (event.kind) {
        case 'progress':
          return line.onProgress(event.progress);
        case 'waiting':
          return note(`waiting: ${event.reason}`);
        case 'base-found':
          return note(`base ${event.base}: ${event.because}`);
        case 'warning':
          return warn(event.message);
        case 'reference-chosen': // the report of a commit lists them
          return;
      }
    },
    warn,
    clear: line.clear,
  };
}

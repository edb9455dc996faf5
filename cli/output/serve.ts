/** What `ere serve` says: where it is reached, and a line for everything that happens. */
import { printable } from '../../src/report/printable.js';
import type { LogRecord } from '../../src/serve/api.js';
import type { OutputStream } from '../context.js';

export interface ServingFacts {
  readonly url: string;
  readonly modelCount: number;
  readonly location: string;
  /** Whether others than this machine may read without a token. */
  readonly isExposed: boolean;
}

export function servingText({ url, modelCount, location, isExposed }: ServingFacts): string {
  const models = modelCount === 1 ? '1 model' : `${modelCount} models`;
  const warning = isExposed
    ? 'warning: everybody who reaches this address may download; give tokens with --token-file\n'
    : '';
  return (
    `serving ${models} of ${printable(location)} at ${url}\n` +
    `download with HF_ENDPOINT=${url} hf download NAME\n${warning}`
  );
}

/** Characters that wait for whoever reads the log. */
const MAX_WAITING = 1 << 20;

/** Writes records as lines of JSON. What is over a megabyte that nobody reads is left out, and then said how much. */
export function createLog(stream: OutputStream): (record: LogRecord) => void {
  let waiting = 0;
  let leftOut = 0;
  const write = (value: unknown): void => {
    const line = `${JSON.stringify(value)}\n`;
    waiting += line.length;
    stream.write(line, () => {
      waiting -= line.length;
    });
  };
  return (record) => {
    if (waiting > MAX_WAITING) {
      leftOut++;
      return;
    }
    if (leftOut > 0) {
      const message = `${leftOut} records were left out, as nobody read the log`;
      write({ time: record.time, level: 'warning', event: 'warning', message } satisfies LogRecord);
      leftOut = 0;
    }
    write(record);
  };
}

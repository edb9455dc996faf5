/** What `ere serve` says: where it is reached, and a line for everything that happens. */
import { printable } from '../../src/report/printable.js';
import type { LogRecord } from '../../src/serve/api.js';

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

/** One JSON object. */
export function logLine(record: LogRecord): string {
  return `${JSON.stringify(record)}\n`;
}

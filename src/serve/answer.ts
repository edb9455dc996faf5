/** What a request is answered with: text that is at hand, or a range of a file that is rebuilt. */
import type { ServedFile, ServedVersion } from './catalog.js';
import type { AnswerHeaders } from './problem.js';
import type { ByteRange } from './range.js';

export type Answer = TextAnswer | FileAnswer;

export interface TextAnswer {
  readonly kind: 'text';
  readonly status: number;
  readonly headers: AnswerHeaders;
  readonly body: string;
}

export interface FileAnswer {
  readonly kind: 'file';
  readonly status: 200 | 206;
  /** Content-Length included. */
  readonly headers: AnswerHeaders;
  readonly version: ServedVersion;
  readonly file: ServedFile;
  readonly range: ByteRange;
}

export function text(
  body: string,
  contentType: string,
  status = 200,
  headers: AnswerHeaders = {},
): TextAnswer {
  return {
    kind: 'text',
    status,
    headers: { 'content-type': contentType, 'cache-control': 'no-cache', ...headers },
    body,
  };
}

export function json(value: unknown, status = 200, headers: AnswerHeaders = {}): TextAnswer {
  return text(JSON.stringify(value), 'application/json; charset=utf-8', status, headers);
}

/**
 * Files of a version: `/NAME/resolve/REVISION/PATH` and `/NAME/raw/REVISION/PATH`, with the headers that clients of the Hub
 * take a file's identity from. Nothing is decoded to answer HEAD, or for a file that the client has already.
 */
import { type Answer, text } from './answer.js';
import type { Asked } from './asked.js';
import type { Catalog, ServedFile } from './catalog.js';
import { openRevision } from './find-model.js';
import { fileAt } from './hub-api.js';
import { Problem } from './problem.js';
import { type ByteRange, parseRange } from './range.js';
import { pointerText } from './served-files.js';

/** By extension; what a browser could run is text. Everything else is bytes. */
const CONTENT_TYPES: ReadonlyMap<string, string> = new Map([
  ['json', 'application/json; charset=utf-8'],
  ...['txt', 'md', 'model_card', 'jinja', 'py', 'yaml', 'yml', 'html', 'csv', 'xml', 'svg', 'js'].map(
    (extension) => [extension, 'text/plain; charset=utf-8'] as const,
  ),
]);

/** @param word `resolve` or `raw`: where large files are pointers */
export async function answerFile(
  asked: Asked,
  catalog: Catalog,
  model: string,
  [word, ...segments]: readonly string[],
): Promise<Answer> {
  const { version, rest } = await openRevision(catalog, model, segments);
  const { commit } = version;
  const file = fileAt(version, rest.join('/'));
  const common = {
    'x-repo-commit': commit.id,
    // A commit's files never change; what a branch or tag is may.
    'cache-control': 'no-cache',
    'content-security-policy': "default-src 'none'; sandbox",
  };
  if (word === 'raw' && file.isLarge) {
    const pointer = pointerText(file.digest!, file.byteLength);
    const headers = { ...common, etag: quoted(file.oid) };
    const { start, end, status, range } = askedRange(asked, pointer.length, headers);
    const body = pointer.slice(start, end);
    return text(body, 'text/plain; charset=utf-8', status, {
      ...headers,
      'accept-ranges': 'bytes',
      ...range,
    });
  }
  const etag = quoted(file.etag);
  const headers = {
    ...common,
    etag,
    'accept-ranges': 'bytes',
    'content-type': contentTypeOf(file),
    'content-disposition': `inline; filename*=UTF-8''${encodeName(file.path)}`,
    ...(file.isLarge ? { 'x-linked-etag': etag, 'x-linked-size': String(file.byteLength) } : {}),
  };
  if (matches(asked.headers['if-none-match'], etag)) {
    return { kind: 'text', status: 304, headers, body: '' };
  }
  const { start, end, isWhole, status, range } = askedRange(asked, file.byteLength, { ...common, etag });
  return {
    kind: 'file',
    status,
    headers: { ...headers, 'content-length': String(end - start), ...range },
    version,
    file,
    range: { start, end, isWhole },
  };
}

interface AskedRange extends ByteRange {
  readonly status: 200 | 206;
  /** Headers that say what part it is. */
  readonly range: Readonly<Record<string, string>>;
}

/**
 * What of a file is asked for. A range of an empty file is the file, as @huggingface/hub asks every file for its first
 * byte to learn its length.
 * @throws Problem 416
 */
function askedRange(
  { method, headers: asked }: Asked,
  byteLength: number,
  common: Readonly<Record<'etag', string>>,
): AskedRange {
  // A range of a file that has changed since is no part of what the client has.
  const ifRange = asked['if-range'];
  const isAsked = method !== 'HEAD' && (ifRange === undefined || ifRange === common.etag);
  const range = parseRange(isAsked && byteLength > 0 ? asked.range : undefined, byteLength);
  if (range === undefined) {
    throw new Problem(416, `expected one range of bytes inside ${byteLength}`, {
      headers: { ...common, 'content-range': `bytes */${byteLength}` },
    });
  }
  const { start, end, isWhole } = range;
  if (!isWhole) {
    return { ...range, status: 206, range: { 'content-range': `bytes ${start}-${end - 1}/${byteLength}` } };
  }
  const isEmptyRange = byteLength === 0 && asked.range !== undefined;
  return { ...range, status: 200, range: isEmptyRange ? { 'content-range': 'bytes */0' } : {} };
}

const quoted = (etag: string): string => `"${etag}"`;

/** As of If-None-Match: `*`, or a list in which it is. */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((item) => item.trim() === '*' || item.trim().replace(/^W\//, '') === etag);
}

function contentTypeOf({ path, kind }: ServedFile): string {
  const extension = /\.(\w+)$/.exec(path)?.[1]?.toLowerCase();
  const type = kind === 'side' && extension !== undefined ? CONTENT_TYPES.get(extension) : undefined;
  return type ?? 'application/octet-stream';
}

/** The last part of a path as RFC 8187 has it. */
function encodeName(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return encodeURIComponent(name).replace(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16)}`);
}

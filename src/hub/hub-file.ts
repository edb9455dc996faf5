/**
 * Files of a repository over HTTP (`resolve/COMMIT/PATH`): what they are, and any range of their bytes. The Hub redirects
 * to its storage, whose addresses are good for a while only: every request asks the Hub anew.
 */
import { assertRange, type ByteSource } from '../../formats/byte-source.js';
import { HubError } from '../../formats/errors.js';
import { throwIfAborted } from '../io/abort.js';
import { RetryableError } from '../io/retries.js';
import { cutOff, type HubAccess, hubRequest, isOwnOrigin } from './request.js';

/** A file as the Hub describes it. */
export interface HubFile {
  readonly repo: string;
  readonly commit: string;
  readonly path: string;
  readonly byteLength: number;
  /** Name of its contents in the cache: SHA-256 of LFS objects, git's blob hash of others. */
  readonly etag: string;
}

/** Renamed repositories redirect once. */
const MAX_REDIRECTS = 5;
/** huggingface_hub names blobs by it, so that it may hold nothing else. */
const ETAG = /^[A-Za-z0-9._-]{1,128}$/;
/** An answer that is cut off behind this much was worth it; of others only some are taken. */
const PROGRESS_BYTE_LENGTH = 1 << 20;
const MAX_STALLS = 20;

/**
 * Asks for size and contents hash of a file.
 * @throws HubError, also with statusCode 404
 */
export async function statHubFile(
  access: HubAccess,
  repo: string,
  commit: string,
  path: string,
): Promise<HubFile> {
  let url = fileUrl(access, repo, commit, path);
  const shown = shownFile(repo, commit, path);
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const init = {
      url,
      shown,
      method: 'HEAD',
      redirect: 'manual',
      headers: { 'accept-encoding': 'identity' },
    } as const;
    const answer = await hubRequest(access, init, async ({ status, headers }) => ({ status, headers }));
    const location = answer.headers.get('location');
    const isDescribed = answer.headers.has('x-linked-etag') || answer.status < 300;
    if (isDescribed || location === null) return describedFile({ repo, commit, path }, answer.headers);
    url = new URL(location, url).href;
    if (!isOwnOrigin(access, url)) break;
  }
  throw new HubError(
    `${shown}: the Hub redirects without an end, or to another host without saying what is there`,
  );
}

function describedFile(file: Pick<HubFile, 'repo' | 'commit' | 'path'>, headers: Headers): HubFile {
  const shown = shownFile(file.repo, file.commit, file.path);
  const etag = (headers.get('x-linked-etag') ?? headers.get('etag'))?.replace(/^W\//, '').replaceAll('"', '');
  const length = headers.get('x-linked-size') ?? headers.get('content-length');
  if (etag === undefined || !ETAG.test(etag) || /^\.+$/.test(etag))
    throw new HubError(`${shown}: expected an ETag of its contents, the Hub told none`);
  if (length === null || !/^\d{1,15}$/.test(length))
    throw new HubError(`${shown}: expected its length, the Hub told none`);
  const commit = headers.get('x-repo-commit');
  if (commit !== null && commit !== file.commit)
    throw new HubError(`${shown}: asked for commit ${file.commit}, the Hub answered with ${commit}`);
  return { ...file, byteLength: Number(length), etag };
}

/** Random access to a file by range requests. */
export function hubSource(access: HubAccess, file: HubFile): ByteSource {
  const name = shownFile(file.repo, file.commit, file.path);
  return {
    name,
    byteLength: file.byteLength,
    async read(offset, length) {
      assertRange(name, file.byteLength, offset, length);
      const bytes = new Uint8Array(length);
      let done = 0;
      await downloadRange(access, file, { offset, end: offset + length }, async (piece) => {
        bytes.set(piece, done);
        done += piece.byteLength;
      });
      return bytes;
    },
  };
}

/**
 * Gives out the bytes [offset, end) in order, going on where a connection broke off.
 * @throws HubError when no attempt brings anything any more; what `sink` throws
 */
export async function downloadRange(
  access: HubAccess,
  file: HubFile,
  { offset, end }: { readonly offset: number; readonly end: number },
  sink: (piece: Uint8Array) => Promise<void>,
): Promise<void> {
  const shown = shownFile(file.repo, file.commit, file.path);
  const url = fileUrl(access, file.repo, file.commit, file.path);
  let position = offset;
  let stalls = 0;
  while (position < end) {
    const from = position;
    const headers = { range: `bytes=${from}-${end - 1}`, 'accept-encoding': 'identity' };
    await hubRequest(access, { url, shown, method: 'GET', headers }, async (response) => {
      let skip = bytesToSkip(response, file, { offset: from, end }, shown);
      try {
        for await (const piece of (response.body ?? []) as AsyncIterable<Uint8Array>) {
          const part = piece.subarray(Math.min(skip, piece.byteLength)).subarray(0, end - position);
          skip -= Math.min(skip, piece.byteLength);
          if (part.byteLength > 0) await sink(part);
          position += part.byteLength;
          if (position === end) return;
        }
        throw cutOff(shown);
      } catch (error) {
        throwIfAborted(access.signal);
        const isCut = error instanceof TypeError || error instanceof RetryableError;
        // What came is kept: the next request begins behind it. Without anything, hubRequest waits and asks again.
        if (!isCut || position === from) throw error;
        if (position - from < PROGRESS_BYTE_LENGTH && ++stalls > MAX_STALLS) throw error;
      }
    });
  }
}

/** How many bytes of the answer lie before `position`: a server that knows no ranges sends all of the file. */
function bytesToSkip(
  response: Response,
  file: HubFile,
  { offset: position, end }: { readonly offset: number; readonly end: number },
  shown: string,
): number {
  const wrong = (found: string) =>
    new HubError(
      `${shown}: asked for bytes ${position}-${end - 1} of ${file.byteLength}, the Hub answered with ${found}`,
    );
  if (response.status === 200) {
    const length = response.headers.get('content-length');
    if (length !== null && Number(length) !== file.byteLength) throw wrong(`${length} bytes`);
    return position;
  }
  const range = response.headers.get('content-range') ?? 'no range';
  if (response.status !== 206) throw wrong(`HTTP ${response.status}`);
  if (range !== `bytes ${position}-${end - 1}/${file.byteLength}`) throw wrong(range);
  return 0;
}

function fileUrl({ hubUrl }: HubAccess, repo: string, commit: string, path: string): string {
  return `${hubUrl}/${repo}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`;
}

function shownFile(repo: string, commit: string, path: string): string {
  return `${repo}@${commit.slice(0, 8)}/${path}`;
}

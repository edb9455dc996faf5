/** The part of @huggingface/hub that ERE uses, loaded on first use, over requests that are repeated and keep the token. */
import { HubError, isEreError } from '../../formats/errors.js';
import { relativePathProblem } from '../../formats/relative-path.js';
import { RetryableError } from '../io/retries.js';
import { isCommitHash } from './repo-name.js';
import { cutOff, type HubAccess, hubRequest } from './request.js';

type HubPackage = typeof import('@huggingface/hub');

/** A file of a repository at a commit. */
export interface RepoFile {
  /** Relative, and safe to join to a folder. */
  readonly path: string;
  readonly byteLength: number;
  /** Of its contents: SHA-256 for what is kept as LFS object, git's blob hash (SHA-1) for others. */
  readonly hash: { readonly kind: 'sha256' | 'git'; readonly hex: string };
}

/** Answers of the Hub's API are lists and numbers. */
const MAX_ANSWER_BYTE_LENGTH = 64 << 20;

export async function loadHubPackage(): Promise<HubPackage> {
  return import('@huggingface/hub');
}

/** Options that every function of the package takes. */
export function clientOptions(access: HubAccess, shown: string, onSent?: (byteLength: number) => void) {
  return { hubUrl: access.hubUrl, fetch: clientFetch(access, shown, onSent) };
}

/**
 * A fetch whose answers are complete when it returns: the package reads them where nothing is repeated.
 * @param onSent is told the length of every body that was sent to storage
 */
function clientFetch(
  access: HubAccess,
  shown: string,
  onSent?: (byteLength: number) => void,
): typeof globalThis.fetch {
  return async (input, init = {}) => {
    const url = String(input instanceof Request ? input.url : input);
    // A second commit would be another one; whether the first was made is for who asked to find out.
    const isRepeatable = !/\/api\/models\/[^?]*\/commit\//.test(url);
    const answer = await hubRequest(access, { ...init, url, shown, isRepeatable }, async (response) => {
      const announced = response.headers.get('content-length');
      const bytes = await readAnswer(response, shown);
      const isEncoded = response.headers.has('content-encoding');
      if (
        announced !== null &&
        !isEncoded &&
        init.method !== 'HEAD' &&
        Number(announced) !== bytes.byteLength
      )
        throw cutOff(shown);
      assertJson(response, bytes, shown, isRepeatable);
      const { status, headers } = response;
      return new Response(status === 204 ? null : bytes, { status, headers });
    });
    if (init.body instanceof Blob) onSent?.(init.body.size);
    return answer;
  };
}

async function readAnswer(response: Response, shown: string): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  let byteLength = 0;
  for await (const piece of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    pieces.push(piece);
    byteLength += piece.byteLength;
    if (byteLength > MAX_ANSWER_BYTE_LENGTH) throw new HubError(`${shown}: the answer has no end`);
  }
  return new Uint8Array(Buffer.concat(pieces));
}

/** A page of a proxy, or half an answer, is no answer. */
function assertJson(response: Response, bytes: Uint8Array, shown: string, isRepeatable: boolean): void {
  if (response.headers.get('content-type')?.includes('json') !== true) return;
  try {
    JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    const final = new HubError(`${shown}: the answer is damaged`, { retryable: true, cause });
    throw isRepeatable ? new RetryableError(final) : final;
  }
}

/**
 * The commit that a revision is now.
 * @param revision default: the main branch
 * @throws HubError with statusCode 404 (or 401, which hides what is private) where there is no such repository or revision
 */
export async function resolveCommit(access: HubAccess, repo: string, revision = 'main'): Promise<string> {
  const shown = `${repo}@${revision}`;
  const { modelInfo } = await loadHubPackage();
  const info = await modelInfo({
    name: repo,
    revision,
    additionalFields: ['sha'],
    ...clientOptions(access, shown),
  });
  if (typeof info.sha === 'string' && isCommitHash(info.sha)) return info.sha;
  throw new HubError(`${shown}: expected a commit hash, the Hub answered with something else`);
}

/** As `resolveCommit`; undefined where there is no such repository or revision. */
export async function findCommit(
  access: HubAccess,
  repo: string,
  revision: string,
): Promise<string | undefined> {
  try {
    return await resolveCommit(access, repo, revision);
  } catch (error) {
    if (isHubStatus(error, 404)) return undefined;
    throw error;
  }
}

/** All files of a commit. Names that are not safe to write are left out. */
export async function listRepoFiles(access: HubAccess, repo: string, commit: string): Promise<RepoFile[]> {
  const { listFiles } = await loadHubPackage();
  const files: RepoFile[] = [];
  const designation = { type: 'model', name: repo } as const;
  const options = clientOptions(access, `${repo}@${commit}`);
  for await (const entry of listFiles({ repo: designation, revision: commit, recursive: true, ...options })) {
    if (entry.type !== 'file' || relativePathProblem(entry.path) !== undefined) continue;
    const { lfs } = entry;
    files.push({
      path: entry.path,
      byteLength: lfs?.size ?? entry.size,
      hash: lfs === undefined ? { kind: 'git', hex: entry.oid ?? '' } : { kind: 'sha256', hex: lfs.oid },
    });
  }
  return files;
}

/** True for a HubError with this status. */
export function isHubStatus(error: unknown, ...statusCodes: number[]): error is HubError {
  if (!isEreError(error, 'ERE_HUB')) return false;
  return statusCodes.includes((error as HubError).statusCode ?? 0);
}

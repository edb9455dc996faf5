/** Committing files to a repository of the Hub: all of them in one commit, and that one once. */
import { HubError, isEreError } from '../../formats/errors.js';
import { delay, throwIfAborted } from '../io/abort.js';
import type { Progress } from '../residual/api.js';
import { clientOptions, findCommit, isHubStatus, listRepoFiles, loadHubPackage } from './client.js';
import { type FileToPush, isThere } from './push-files.js';
import type { HubAccess } from './request.js';

export interface CommitTarget {
  readonly repo: string;
  readonly branch: string;
  readonly pullRequest: boolean;
  readonly title: string;
  readonly description: string;
}

export interface MadeCommit {
  readonly commit: string;
  readonly url: string | undefined;
  readonly pullRequestUrl: string | undefined;
}

/** Authorisation goes into every request by itself; the package only wants to see one. */
const ACCESS_TOKEN = 'hf_set-by-request';
const COMMIT_ATTEMPTS = 4;
const PAUSE_MS = 1000;

/** Makes the repository; one that is there already stays as it is. */
export async function makeRepo(
  access: HubAccess,
  repo: string,
  isPrivate: boolean | undefined,
): Promise<void> {
  const { createRepo } = await loadHubPackage();
  try {
    await createRepo({
      repo: { type: 'model', name: repo },
      accessToken: ACCESS_TOKEN,
      ...(isPrivate === undefined ? {} : { visibility: isPrivate ? 'private' : 'public' }),
      ...clientOptions(access, repo),
    });
  } catch (error) {
    // Made meanwhile, maybe by the request whose answer was lost.
    if (!isHubStatus(error, 409)) throw error;
  }
}

/** Makes a branch of what the main one is now; one that is there already stays as it is. */
export async function makeBranch(access: HubAccess, repo: string, branch: string): Promise<void> {
  const { createBranch } = await loadHubPackage();
  try {
    await createBranch({ repo: { type: 'model', name: repo }, branch, ...clientOptions(access, repo) });
  } catch (error) {
    if (!isHubStatus(error, 409)) throw error;
  }
}

/**
 * Uploads what storage lacks and commits. Where the answer is lost it is looked up whether the commit was made.
 * @throws HubError; with statusCode 412 when somebody else committed meanwhile
 */
export async function commitFiles(
  access: HubAccess,
  files: readonly FileToPush[],
  target: CommitTarget,
  onProgress?: (progress: Progress) => void,
): Promise<MadeCommit> {
  const { repo, branch, pullRequest } = target;
  const parent = await findCommit(access, repo, branch);
  for (let attempt = 1; ; attempt++) {
    try {
      return await commitOnce(access, files, target, parent, onProgress);
    } catch (error) {
      throwIfAborted(access.signal);
      const isLost = isEreError(error, 'ERE_HUB') && (error as HubError).retryable;
      if (!isLost && !(attempt > 1 && isHubStatus(error, 412))) throw error;
      if (pullRequest) throw notKnown(error as HubError, repo);
      const made = await findMade(access, files, target, parent);
      if (made !== undefined) return { commit: made, url: undefined, pullRequestUrl: undefined };
      if (!isLost || attempt >= COMMIT_ATTEMPTS) throw error;
      await delay((access.retries.pauseMs ?? PAUSE_MS) * attempt, access.signal);
    }
  }
}

async function commitOnce(
  access: HubAccess,
  files: readonly FileToPush[],
  { repo, branch, pullRequest, title, description }: CommitTarget,
  parentCommit: string | undefined,
  onProgress: ((progress: Progress) => void) | undefined,
): Promise<MadeCommit> {
  const { commit } = await loadHubPackage();
  const totalByteLength = files.reduce((sum, { byteLength }) => sum + byteLength, 0);
  let doneByteLength = 0;
  const onSent = (byteLength: number): void => {
    doneByteLength = Math.min(totalByteLength, doneByteLength + byteLength);
    onProgress?.({ phase: 'upload', doneByteLength, totalByteLength, tensor: repo });
  };
  const output = await commit({
    repo: { type: 'model', name: repo },
    title,
    description,
    operations: files.map(({ path, content }) => ({ operation: 'addOrUpdate', path, content })),
    branch,
    isPullRequest: pullRequest,
    // Entropy-coded bytes have no parts in common: LFS parts can be sent again one by one, Xet's chunks gain nothing.
    useXet: false,
    ...(parentCommit === undefined ? {} : { parentCommit }),
    ...(access.signal === undefined ? {} : { abortSignal: access.signal }),
    ...clientOptions(access, repo, onSent),
  });
  if (output === undefined || typeof output.commit.oid !== 'string')
    throw new HubError(`${repo}: expected the hash of the commit, the Hub answered with something else`, {
      retryable: true,
    });
  return { commit: output.commit.oid, url: output.commit.url, pullRequestUrl: output.pullRequestUrl };
}

/** The branch's newest commit where it has all files and is not what it was before. */
async function findMade(
  access: HubAccess,
  files: readonly FileToPush[],
  { repo, branch }: CommitTarget,
  parent: string | undefined,
): Promise<string | undefined> {
  const head = await findCommit(access, repo, branch);
  if (head === undefined || head === parent) return undefined;
  const there = await listRepoFiles(access, repo, head);
  return files.every((file) => isThere(file, there)) ? head : undefined;
}

function notKnown(error: HubError, repo: string): HubError {
  const { message, statusCode } = error;
  return new HubError(`${message}; whether the pull request was opened is not known, look at ${repo} first`, {
    statusCode,
    retryable: false,
    cause: error,
  });
}

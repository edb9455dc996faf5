/** push: a fine-tune to the Hub as its residual, with its model card, in one commit. */

import { relativeError } from '../../formats/ere/levels.js';
import { HubError } from '../../formats/errors.js';
import { relativePathProblem } from '../../formats/relative-path.js';
import { withTemporaryFolder } from '../io/temporary-folder.js';
import { assertCommonOptions } from '../residual/encode-options.js';
import type { PushedFile, PushOptions, PushReport } from './api.js';
import { findCommit, isHubStatus, listRepoFiles, type RepoFile } from './client.js';
import { commitFiles, type MadeCommit, makeBranch, makeRepo } from './commit-files.js';
import { type PreparedArchive, prepareArchive } from './push-archive.js';
import { type FileToPush, filesToPush, fineTunedByteLength, isThere } from './push-files.js';
import { isRepoName, isRevision } from './repo-name.js';
import type { HubAccess } from './request.js';
import { hubSettings } from './settings.js';

/** What is known of the repository before anything is sent. */
interface Target {
  readonly isNew: boolean;
  readonly head: string | undefined;
  readonly there: readonly RepoFile[];
}

/**
 * Uploads `subject` as an archive: a checkpoint, which is encoded against its base on the Hub; an archive; or with
 * `options.store` a version of a store. What is there already is not sent again, and a push of nothing new makes no commit.
 * @throws HubError; CheckpointMismatchError where the base on the Hub is another; otherwise as encode and Store.export
 */
export async function push(subject: string, options: PushOptions): Promise<PushReport> {
  const started = performance.now();
  const repo = assertPushOptions(options);
  const access: HubAccess = { ...(await hubSettings(options)), signal: options.signal };
  if (options.dryRun !== true && access.token === undefined) {
    throw new HubError(
      `${repo}: pushing needs a token with write access: log in with \`hf auth login\`, or give one by HF_TOKEN or --token`,
    );
  }
  return withTemporaryFolder(async (folder) => {
    const prepared = await prepareArchive(access, subject, folder, options);
    const files = await filesToPush(prepared, repo, options);
    const branch = options.branch ?? 'main';
    const target = await lookAt(access, repo, branch);
    const pushed = files.map((file) => ({
      path: file.path,
      byteLength: file.byteLength,
      isThere: isThere(file, target.there),
    }));
    const made =
      options.dryRun === true
        ? undefined
        : await commitTo(access, { repo, branch, files, target, prepared, options });
    return report({ repo, branch, target, pushed, made, prepared, options, started });
  });
}

/** @returns the repository; @throws RangeError */
function assertPushOptions(options: PushOptions): string {
  assertCommonOptions(options);
  const { to, branch, pathInRepo } = options;
  if (!isRepoName(to)) throw new RangeError(`expected a repository as user/repo, got ${JSON.stringify(to)}`);
  if (branch !== undefined && !isRevision(branch))
    throw new RangeError(`expected the name of a branch, got ${JSON.stringify(branch)}`);
  if (pathInRepo === undefined) return to;
  const problem = relativePathProblem(pathInRepo);
  if (problem !== undefined)
    throw new RangeError(`expected a path in the repository: ${JSON.stringify(pathInRepo)} ${problem}`);
  if (!pathInRepo.endsWith('.ere'))
    throw new RangeError(`expected a path that ends in .ere, got ${JSON.stringify(pathInRepo)}`);
  return to;
}

async function lookAt(access: HubAccess, repo: string, branch: string): Promise<Target> {
  try {
    const head = await findCommit(access, repo, branch);
    if (head !== undefined) return { isNew: false, head, there: await listRepoFiles(access, repo, head) };
    const main = branch === 'main' ? undefined : await findCommit(access, repo, 'main');
    return { isNew: main === undefined, head: undefined, there: [] };
  } catch (error) {
    // Without a token, the Hub says 401 of what does not exist too.
    if (access.token === undefined && isHubStatus(error, 401))
      return { isNew: true, head: undefined, there: [] };
    throw error;
  }
}

interface CommitInputs {
  readonly repo: string;
  readonly branch: string;
  readonly files: readonly FileToPush[];
  readonly target: Target;
  readonly prepared: PreparedArchive;
  readonly options: PushOptions;
}

async function commitTo(
  access: HubAccess,
  { repo, branch, files, target, prepared, options }: CommitInputs,
): Promise<MadeCommit> {
  const { head, there } = target;
  const missing = files.filter((file) => !isThere(file, there));
  if (head !== undefined && missing.length === 0)
    return { commit: head, url: undefined, pullRequestUrl: undefined };
  if (target.isNew) await makeRepo(access, repo, options.private);
  if (head === undefined && branch !== 'main') await makeBranch(access, repo, branch);
  const { index } = prepared.inspected;
  const commitTarget = {
    repo,
    branch,
    pullRequest: options.pullRequest === true,
    title: options.message ?? `Residual against ${prepared.base.repo}`,
    description: `Base ${prepared.base.repo}@${prepared.base.commit}, decoded ${index.decoded.digest}`,
  };
  return commitFiles(access, missing, commitTarget, options.onProgress);
}

function report(facts: {
  readonly repo: string;
  readonly branch: string;
  readonly target: Target;
  readonly pushed: readonly PushedFile[];
  readonly made: MadeCommit | undefined;
  readonly prepared: PreparedArchive;
  readonly options: PushOptions;
  readonly started: number;
}): PushReport {
  const { repo, branch, target, pushed, made, prepared, options, started } = facts;
  const { inspected, base, warnings } = prepared;
  const { index } = inspected;
  return {
    repo,
    branch,
    isNew: target.isNew,
    isDryRun: options.dryRun === true,
    commit: made?.commit,
    url: made?.url,
    pullRequestUrl: made?.pullRequestUrl,
    files: pushed,
    uploadByteLength: pushed.reduce((sum, file) => sum + (file.isThere ? 0 : file.byteLength), 0),
    archiveByteLength: inspected.byteLength,
    fineTunedByteLength: fineTunedByteLength(index),
    relativeError: relativeError(index.tensors),
    base: { name: base.repo, revision: base.commit, digest: index.base.digest },
    tensors: inspected.tensors,
    warnings,
    durationMs: performance.now() - started,
  };
}

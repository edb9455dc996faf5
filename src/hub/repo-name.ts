/** Names of the Hub: `org/model`, and with a revision `org/model@revision`. */

export interface RepoRevision {
  /** `org/model`. */
  readonly repo: string;
  /** Branch, tag, commit hash or `refs/pr/N`; undefined where none was named. */
  readonly revision: string | undefined;
}

/** The Hub's own rule for either part of a name (huggingface_hub, `validate_repo_id`), less the names without an owner. */
const PART = /^(?!.*(?:--|\.\.))(?![-.])[A-Za-z0-9._-]{1,96}(?<![-.])$/;
const COMMIT = /^[0-9a-f]{40}$/;
/** What git allows in a ref, less what would change the meaning of a URL or a path. */
const REVISION = /^(?!.*(?:\.\.|\/\/))(?![/.-])[A-Za-z0-9._/+-]{1,200}(?<![/.])$/;

/** True for `org/model`, a name that may be of a repository of the Hub. */
export function isRepoName(text: string): boolean {
  const parts = text.split('/');
  return parts.length === 2 && parts.every((part) => PART.test(part)) && !text.endsWith('.git');
}

/** True for a whole commit hash, which names the same files forever. */
export function isCommitHash(text: string): boolean {
  return COMMIT.test(text);
}

/** True for a revision that may stand in a URL and a path of the cache. */
export function isRevision(text: string): boolean {
  return REVISION.test(text);
}

/**
 * Reads `org/model` or `org/model@revision`.
 * @throws RangeError for anything else
 */
export function parseRepoRevision(text: string): RepoRevision {
  const at = text.indexOf('@');
  const repo = at === -1 ? text : text.slice(0, at);
  const revision = at === -1 ? undefined : text.slice(at + 1);
  if (!isRepoName(repo)) {
    throw new RangeError(
      `expected a repository as org/model or org/model@revision, got ${JSON.stringify(text)}`,
    );
  }
  if (revision !== undefined && !isRevision(revision)) {
    throw new RangeError(
      `expected a branch, tag or commit behind the @ of ${repo}, got ${JSON.stringify(revision)}`,
    );
  }
  return { repo, revision };
}

/** What clients call a version: the main branch, or digits of a commit. */

/** Digits of a commit, as clients of the Hub expect them. */
export const COMMIT_DIGITS = 40;

/** Fewest digits that name one. */
const MIN_DIGITS = 6;

export function isMain(revision: string): boolean {
  return /^(?:(?:refs\/heads\/)?main|HEAD)$/.test(revision);
}

/** Whether a revision is an id, or enough of its first digits. */
export function beginsWith(id: string, revision: string): boolean {
  return revision.length >= MIN_DIGITS && id.startsWith(revision.toLowerCase());
}

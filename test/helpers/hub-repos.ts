/** Repositories of the Hub's double: git's blob hashes, commits, branches, and the LFS objects that all share. */
import { createHash } from 'node:crypto';

/** A file of a commit: its bytes, or the LFS object that it points to. */
export interface DoubleFile {
  readonly bytes: Uint8Array;
  /** SHA-256 of an LFS object; undefined for a file of git. */
  readonly lfs: string | undefined;
}

export interface DoubleCommit {
  readonly id: string;
  readonly parent: string | undefined;
  readonly title: string;
  readonly files: ReadonlyMap<string, DoubleFile>;
}

export interface DoubleRepo {
  readonly name: string;
  isPrivate: boolean;
  readonly commits: Map<string, DoubleCommit>;
  /** Commit of each branch. */
  readonly branches: Map<string, string>;
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export const gitHash = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.byteLength}\0`).update(bytes).digest('hex');

export function newRepo(name: string, isPrivate: boolean): DoubleRepo {
  const repo: DoubleRepo = { name, isPrivate, commits: new Map(), branches: new Map() };
  addCommit(repo, 'main', 'initial commit', new Map());
  return repo;
}

/** Adds a commit on top of a branch; files of the parent stay but for those of `changes`. */
export function addCommit(
  repo: DoubleRepo,
  branch: string,
  title: string,
  changes: ReadonlyMap<string, DoubleFile | undefined>,
): DoubleCommit {
  const parent = repo.branches.get(branch);
  const files = new Map(parent === undefined ? [] : repo.commits.get(parent)!.files);
  for (const [path, file] of changes) {
    if (file === undefined) files.delete(path);
    else files.set(path, file);
  }
  const id = createHash('sha1').update(`${repo.name} ${branch} ${title} ${repo.commits.size}`).digest('hex');
  const commit = { id, parent, title, files };
  repo.commits.set(id, commit);
  repo.branches.set(branch, id);
  return commit;
}

/** The commit that a revision names. */
export function findDoubleCommit(repo: DoubleRepo, revision: string): DoubleCommit | undefined {
  const name = revision === 'HEAD' ? 'main' : revision;
  return repo.commits.get(repo.branches.get(name) ?? name);
}

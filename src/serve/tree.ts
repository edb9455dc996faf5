/** Files and folders of a version as the Hub lists them. Folders are not kept anywhere: they follow from paths. */
import { createHash, type Hash } from 'node:crypto';
import type { ServedFile, ServedVersion } from './catalog.js';
import { pointerText } from './served-files.js';

/** An entry of a tree, a file's or a folder's. */
export interface TreeEntry {
  readonly type: 'file' | 'directory';
  readonly oid: string;
  readonly size: number;
  readonly path: string;
  readonly lfs?: { readonly oid: string; readonly size: number; readonly pointerSize: number };
}

export function fileEntry(file: ServedFile): TreeEntry {
  const { path, byteLength: size, oid, isLarge, etag, digest } = file;
  const entry = { type: 'file', oid, size, path } as const;
  if (!isLarge) return entry;
  return { ...entry, lfs: { oid: etag, size, pointerSize: pointerText(digest!, size).length } };
}

/** Made once a version: paths from outside may be deep, and requests for them many. */
const trees = new WeakMap<readonly ServedFile[], ReadonlyMap<string, TreeEntry>>();

/** All entries by path, folders in front of what is in them. */
export function treeOf({ files }: Pick<ServedVersion, 'files'>): ReadonlyMap<string, TreeEntry> {
  let tree = trees.get(files);
  if (tree === undefined) {
    tree = makeTree(files);
    trees.set(files, tree);
  }
  return tree;
}

/** Entries of a folder, or all below it. @param folder with `/` at its end; empty for the version itself */
export function entriesIn(
  version: Pick<ServedVersion, 'files'>,
  folder: string,
  isRecursive: boolean,
): TreeEntry[] {
  return [...treeOf(version).values()].filter(
    ({ path }) => path.startsWith(folder) && (isRecursive || !path.includes('/', folder.length)),
  );
}

/** A folder that files are still found in. */
interface OpenFolder {
  /** Of its path, with `/` at its end. */
  readonly length: number;
  readonly entry: { -readonly [Key in keyof TreeEntry]: TreeEntry[Key] };
  /** Of names and hashes of what is in it: a folder has no other name of its own here. */
  readonly hash: Hash;
}

/** In one pass: files are sorted by path, so that those of a folder follow one another. */
function makeTree(files: readonly ServedFile[]): Map<string, TreeEntry> {
  const tree = new Map<string, TreeEntry>();
  const open: OpenFolder[] = [];
  const note = ({ type, oid, path }: TreeEntry): void => {
    const parent = open.at(-1);
    parent?.hash.update(JSON.stringify([type, path.slice(parent.length), oid]));
  };
  const leave = (): void => {
    const { entry, hash } = open.pop()!;
    entry.oid = hash.digest('hex');
    note(entry);
  };
  for (const file of files) {
    const { path } = file;
    while (open.length > 0 && !path.startsWith(`${open.at(-1)!.entry.path}/`)) leave();
    const from = open.at(-1)?.length ?? 0;
    for (let end = path.indexOf('/', from); end !== -1; end = path.indexOf('/', end + 1)) {
      const entry = { type: 'directory', oid: '', size: 0, path: path.slice(0, end) } as const;
      tree.set(entry.path, entry);
      open.push({ length: end + 1, entry, hash: createHash('sha1') });
    }
    const entry = fileEntry(file);
    tree.set(path, entry);
    note(entry);
  }
  while (open.length > 0) leave();
  return tree;
}

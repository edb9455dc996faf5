/** The files of a push: the archive, the small files that it carries, and the model card. */
import { createHash } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import type { ArchiveIndex } from '../../formats/ere/archive-index.js';
import { relativeError } from '../../formats/ere/levels.js';
import { openArchive } from '../../formats/ere/open-archive.js';
import { IntegrityError } from '../../formats/errors.js';
import { openFileSource } from '../io/file-source.js';
import { inflateAtOnce } from '../io/inflate-at-once.js';
import { createNodeHasher } from '../io/node-hasher.js';
import type { PushOptions } from './api.js';
import type { RepoFile } from './client.js';
import { modelCard } from './model-card.js';
import type { PreparedArchive } from './push-archive.js';

/** A file to commit. */
export interface FileToPush {
  readonly path: string;
  readonly byteLength: number;
  /** The bytes, or where they lie. */
  readonly content: Blob | URL;
  /** Both names that the Hub may have for the contents. */
  readonly hashes: { readonly sha256: string; readonly git: string };
}

export const DEFAULT_PATH = 'model.ere';
const CARD_PATH = 'README.md';
const READ_BYTE_LENGTH = 4 << 20;

/** @throws IntegrityError for a damaged archive, FormatError */
export async function filesToPush(
  prepared: PreparedArchive,
  repo: string,
  options: PushOptions,
): Promise<FileToPush[]> {
  const path = options.pathInRepo ?? DEFAULT_PATH;
  const carried = await readCarried(prepared.path);
  const files = [await archiveFile(prepared.path, path)];
  if (options.sideFiles !== false) {
    for (const file of carried) {
      if (file.path !== CARD_PATH && file.path !== path) files.push(bytesFile(file.path, file.bytes));
    }
  }
  if (options.card !== false) {
    const own = carried.find((file) => file.path === CARD_PATH)?.bytes;
    const { inspected, base } = prepared;
    const card = modelCard({
      repo,
      path,
      archiveByteLength: inspected.byteLength,
      fineTunedByteLength: fineTunedByteLength(inspected.index),
      relativeError: relativeError(inspected.index.tensors),
      base: { name: base.repo, revision: base.commit },
      index: inspected.index,
      tensors: inspected.tensors,
      ownCard: own === undefined ? undefined : new TextDecoder().decode(own),
    });
    files.push(bytesFile(CARD_PATH, new TextEncoder().encode(card)));
  }
  return files;
}

/** Sum of the weight files that an archive decodes to. */
export function fineTunedByteLength({ files }: ArchiveIndex): number {
  return files.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** Whether a repository has a file with these contents. */
export function isThere(file: FileToPush, there: readonly RepoFile[]): boolean {
  const found = there.find(({ path }) => path === file.path);
  return found?.byteLength === file.byteLength && found.hash.hex === file.hashes[found.hash.kind];
}

/** The side files whose bytes are in the archive; those it takes from the base are there already. */
async function readCarried(
  archive: string,
): Promise<{ readonly path: string; readonly bytes: Uint8Array<ArrayBuffer> }[]> {
  const source = await openFileSource(archive);
  try {
    const opened = await openArchive(source, { inflate: inflateAtOnce });
    const files: { path: string; bytes: Uint8Array<ArrayBuffer> }[] = [];
    for (const { path, content, digest } of opened.index.sideFiles) {
      if (content === undefined) continue;
      const bytes = Uint8Array.from(await opened.readBlob(content));
      const hash = createNodeHasher();
      hash.update(bytes);
      const found = hash.digest();
      if (found !== digest) throw new IntegrityError(`${archive}, side file ${path}`, digest, found);
      files.push({ path, bytes });
    }
    return files;
  } finally {
    await source.close();
  }
}

function bytesFile(path: string, bytes: Uint8Array<ArrayBuffer>): FileToPush {
  const hashes = {
    sha256: createHash('sha256').update(bytes).digest('hex'),
    git: createHash('sha1').update(`blob ${bytes.byteLength}\0`).update(bytes).digest('hex'),
  };
  return { path, byteLength: bytes.byteLength, content: new Blob([bytes]), hashes };
}

async function archiveFile(archive: string, path: string): Promise<FileToPush> {
  const source = await openFileSource(archive);
  try {
    const { byteLength } = source;
    const [sha256, git] = [createHash('sha256'), createHash('sha1').update(`blob ${byteLength}\0`)];
    for (let offset = 0; offset < byteLength; offset += READ_BYTE_LENGTH) {
      const bytes = await source.read(offset, Math.min(READ_BYTE_LENGTH, byteLength - offset));
      sha256.update(bytes);
      git.update(bytes);
    }
    const hashes = { sha256: sha256.digest('hex'), git: git.digest('hex') };
    return { path, byteLength, content: pathToFileURL(archive), hashes };
  } finally {
    await source.close();
  }
}

/** The files of a version, as pieces that are at hand or rebuilt, and what git and large-file storage would call them. */
import { createHash } from 'node:crypto';
import { tensorByteLength } from '../../formats/dtype.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import { relativeError } from '../../formats/ere/levels.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { readArchiveLayout } from '../residual/archive-layout.js';
import { type Selection, selectTensor } from '../residual/select-tensors.js';
import { tensorReport } from '../residual/tensor-report.js';
import type { FilePiece, ServedFile, ServedTensor } from './catalog.js';

export interface ServedFilesInput {
  readonly archive: Archive;
  readonly selection: Selection;
  /** SHA-256 of weight files by path, where they are known. */
  readonly digests: ReadonlyMap<string, Digest>;
  readonly readSideFile: (sideFile: number) => Promise<Uint8Array>;
}

/** Sorted by path. @throws FormatError, IntegrityError for damaged headers or side files */
export async function servedFiles(input: ServedFilesInput): Promise<ServedFile[]> {
  const { index } = input.archive;
  const files: ServedFile[] = await weightFiles(input);
  for (const [sideFile, { path, byteLength, digest }] of index.sideFiles.entries()) {
    const oid = gitHash(await input.readSideFile(sideFile));
    const content = { digest, byteLength, made: { kind: 'side-file', sideFile } } as const;
    const pieces = byteLength === 0 ? [] : [{ byteOffset: 0, byteLength, content }];
    files.push({ path, kind: 'side', byteLength, digest, pieces, isLarge: false, oid, etag: oid });
  }
  return files.sort((x, y) => (x.path < y.path ? -1 : 1));
}

async function weightFiles({ archive, selection, digests }: ServedFilesInput): Promise<ServedFile[]> {
  const { headers, placements } = await readArchiveLayout(archive);
  const pieces = headers.map((header): FilePiece[] => [
    { byteOffset: 0, byteLength: header.byteLength, content: header },
  ]);
  for (const { tensor, output, outputOffset } of placements) {
    const { digest } = selectTensor(archive, tensor, selection);
    const { dtype, shape } = archive.index.tensors[tensor]!;
    const byteLength = tensorByteLength(dtype, shape)!;
    if (byteLength === 0) continue;
    const content = { digest: digest!, byteLength, made: { kind: 'tensor', tensor } } as const;
    pieces[output!]!.push({ byteOffset: outputOffset, byteLength, content });
  }
  return archive.index.files.map(({ path, byteLength }, i) => {
    const ordered = pieces[i]!.sort((x, y) => x.byteOffset - y.byteOffset);
    const digest = digests.get(path);
    const file = { path, kind: 'weights', byteLength, digest, pieces: ordered } as const;
    if (digest === undefined) {
      const oid = contentHash(ordered);
      return { ...file, isLarge: false, oid, etag: oid };
    }
    const pointer = new TextEncoder().encode(pointerText(digest, byteLength));
    return { ...file, isLarge: true, oid: gitHash(pointer), etag: hexOf(digest) };
  });
}

/** What git holds for a large file: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md. */
export function pointerText(digest: Digest, byteLength: number): string {
  return `version https://git-lfs.github.com/spec/v1\noid ${digest}\nsize ${byteLength}\n`;
}

/** Git's name of a file with these bytes. */
export function gitHash(bytes: Uint8Array): string {
  return createHash('sha1').update(`blob ${bytes.byteLength}\0`).update(bytes).digest('hex');
}

export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length);
}

/** Of a file that nobody has had whole: 40 digits that differ where its bytes do. */
function contentHash(pieces: readonly FilePiece[]): string {
  const hash = createHash('sha256');
  for (const { byteOffset, content } of pieces) {
    if (content instanceof Uint8Array) hash.update(content);
    else hash.update(`${byteOffset} ${content.digest}\n`);
  }
  return hash.digest('hex').slice(0, 40);
}

/** The tensors for tables, in the order of the checkpoint. */
export function servedTensors({ index }: Archive): ServedTensor[] {
  return index.tensors.map((tensor, i) => {
    const { name, dtype, shape } = tensor;
    const { codecs, byteLength, fineTunedByteLength } = tensorReport(index, i);
    const error = relativeError([tensor]);
    const common = { name, dtype, shape, codecs, byteLength, fineTunedByteLength, relativeError: error };
    if (tensor.base === undefined) return { ...common, case: 'added' };
    if (tensor.terms.length === 0 && tensor.base.dtype === undefined) return { ...common, case: 'base' };
    return { ...common, case: tensor.quality === undefined ? 'exact' : 'lossy' };
  });
}

/** Catalog data for pages: commits, files and tensors with plain values, of which a test says what matters to it. */
import { createHash } from 'node:crypto';
import type { ServedCommit, ServedFile, ServedModel, ServedTensor } from '../../../src/serve/catalog.js';

export const GENERATOR = 'ere 0.1.0';
export const ORIGIN = 'http://127.0.0.1:8080';

/** 40 digits that follow from a name. */
export function idOf(name: string): string {
  return createHash('sha1').update(name).digest('hex');
}

/** @param name the title, and what its id follows from @param parents names */
export function commitOf(
  name: string,
  parents: readonly string[] = [],
  changes: Partial<ServedCommit> = {},
): ServedCommit {
  return {
    id: idOf(name),
    title: name,
    message: name,
    createdAt: '2026-11-22T02:10:33.104Z',
    parents: parents.map(idOf),
    model: 'chat',
    names: [],
    base: 'llama',
    reference: parents[0] === undefined ? 'base' : idOf(parents[0]),
    fineTunedByteLength: 9_910_000,
    storedByteLength: 687_000,
    relativeError: 0.317,
    ...changes,
  };
}

/** The newest of these is the model's. */
export function modelOf(name: string, history: readonly ServedCommit[]): ServedModel {
  return { name, head: history[0]!, versionCount: history.length };
}

export function fileOf(path: string, changes: Partial<ServedFile> = {}): ServedFile {
  const digest = createHash('sha256').update(path).digest('hex');
  return {
    path,
    kind: path.endsWith('.safetensors') ? 'weights' : 'side',
    byteLength: 1234,
    digest: `sha256:${digest}`,
    pieces: [],
    isLarge: false,
    oid: idOf(path),
    etag: idOf(path),
    ...changes,
  };
}

export function tensorOf(name: string, changes: Partial<ServedTensor> = {}): ServedTensor {
  return {
    name,
    dtype: 'BF16',
    shape: [100, 80],
    case: 'lossy',
    codecs: ['coded-low-rank', 'coded-dense'],
    byteLength: 1000,
    fineTunedByteLength: 16_000,
    relativeError: 0.25,
    ...changes,
  };
}

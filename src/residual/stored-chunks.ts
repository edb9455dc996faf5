/** Chunks that an encoder has finished with: their payload may lie on disk, and is read when it is needed. */
import { crc32 } from '../../formats/crc32.js';
import type { EncodedTerm } from '../codecs/codec.js';
import type { EncodedTensor } from './encode-tensor.js';

/** A payload with what the index records of it. Two uses of one payload are one object. */
export interface StoredChunk {
  readonly byteLength: number;
  /** CRC-32 of the bytes. */
  readonly crc32: number;
  /** Whether `read` gives bytes that others hold as well; else they are the caller's own. */
  readonly isHeld: boolean;
  read(): Promise<Uint8Array>;
}

/** An EncodedTerm whose payload is stored. */
export interface StoredTerm extends Omit<EncodedTerm, 'chunks'> {
  readonly chunks: readonly { readonly chunk: StoredChunk; readonly squaredErrorDrop: number }[];
}

/** An EncodedTensor whose payload is stored. */
export interface StoredTensor extends Omit<EncodedTensor, 'terms'> {
  readonly terms: readonly StoredTerm[];
}

/** What finished tensors are put into, by the key of what they were encoded from and as. */
export interface TensorStore {
  put(key: string, tensor: EncodedTensor): Promise<StoredTensor>;
  /** What an interrupted run had put under the key. */
  find(key: string): StoredTensor | undefined;
}

/** A chunk that stays in memory. */
export function memoryChunk(bytes: Uint8Array): StoredChunk {
  return { byteLength: bytes.byteLength, crc32: crc32(bytes), isHeld: true, read: async () => bytes };
}

/** @param store by what a payload becomes a stored one */
export function storeTensor(tensor: EncodedTensor, store: (bytes: Uint8Array) => StoredChunk): StoredTensor {
  return { ...tensor, terms: storeTerms(tensor.terms, store) };
}

export function storeTerms(
  terms: readonly EncodedTerm[],
  store: (bytes: Uint8Array) => StoredChunk = memoryChunk,
): StoredTerm[] {
  return terms.map((term) => ({
    ...term,
    chunks: term.chunks.map(({ bytes, squaredErrorDrop }) => ({ chunk: store(bytes), squaredErrorDrop })),
  }));
}

/** The terms with their payload in memory. */
export async function loadTerms(terms: readonly StoredTerm[]): Promise<EncodedTerm[]> {
  return Promise.all(
    terms.map(async (term) => ({
      ...term,
      chunks: await Promise.all(
        term.chunks.map(async ({ chunk, squaredErrorDrop }) => ({
          bytes: await chunk.read(),
          squaredErrorDrop,
        })),
      ),
    })),
  );
}

/** Payloads of loaded terms that are nobody else's. @param terms as loaded from `stored` */
export function ownPayloads(stored: readonly StoredTerm[], terms: readonly EncodedTerm[]): Uint8Array[] {
  return stored.flatMap(({ chunks }, t) =>
    chunks.flatMap(({ chunk }, c) => (chunk.isHeld ? [] : [terms[t]!.chunks[c]!.bytes])),
  );
}

export function storedByteLength(terms: readonly StoredTerm[]): number {
  return terms.reduce(
    (sum, { chunks }) => chunks.reduce((bytes, { chunk }) => bytes + chunk.byteLength, sum),
    0,
  );
}

/** Keeps everything in memory. */
export const memoryStore: TensorStore = {
  put: async (_key, tensor) => storeTensor(tensor, memoryChunk),
  find: () => undefined,
};

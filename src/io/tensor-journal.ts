/**
 * Finished tensors of an encode that runs, in a file beside its output: what an interrupted run leaves, and the place
 * where payloads wait that memory has no room for. A run that ends removes it.
 *
 * One line with the writer's name and version, one with the process that works on it (blank when none does), then
 * records: length of a JSON head (u32, little-endian), CRC-32 of the head, the head, the payloads it lists. A record
 * that is cut short, damaged, or was never written, ends the file.
 */
import { type FileHandle, open, rm } from 'node:fs/promises';
import { crc32 } from '../../formats/crc32.js';
import { ConflictError, IoError } from '../../formats/errors.js';
import type { EncodedTensor } from '../residual/encode-tensor.js';
import {
  memoryChunk,
  type StoredChunk,
  type StoredTensor,
  storeTensor,
  type TensorStore,
} from '../residual/stored-chunks.js';
import { PACKAGE_NAME, PACKAGE_VERSION } from '../version.js';
import { isSystemError, withIoErrors } from './io-error.js';
import { processIdentity, runningProcess } from './process-identity.js';

export interface TensorJournalOptions {
  /** Take over what an interrupted run has left. Default false. */
  readonly resume?: boolean;
  /** Remove it instead. Default false: it is a ConflictError. */
  readonly overwrite?: boolean;
  /** What all tensors follow from besides their keys: another one's records are not found. */
  readonly salt: string;
  /** Payload bytes up to which records wait in memory, and there is no file; default 16 MiB: some seconds of encoding. */
  readonly memoryByteLimit?: number;
}

export interface TensorJournal extends TensorStore {
  /** Tensors that were taken over. */
  readonly resumedCount: number;
  /** Whether there is a file that a later run can resume from. */
  readonly isKept: boolean;
  /** Closes the file, and leaves it. */
  close(): Promise<void>;
  /** Closes and removes it. */
  remove(): Promise<void>;
}

const MEMORY_BYTE_LIMIT = 16 * 2 ** 20;
const FIRST_LINE = `${PACKAGE_NAME} ${PACKAGE_VERSION} unfinished 2\n`;
/** How the first line of every version begins. */
const ANY_FIRST_LINE = `${PACKAGE_NAME} `;
/** The second line: a host's name, two numbers, and room. */
const OWNER_BYTE_LENGTH = 256;
const HEADER_BYTE_LENGTH = FIRST_LINE.length + OWNER_BYTE_LENGTH;
/** A longer head is damage: a tensor has some thousand chunks and singular values. */
const MAX_HEAD_BYTE_LENGTH = 64 * 2 ** 20;

/** Where the journal of an output lies. */
export function journalPath(output: string): string {
  return `${output}.unfinished`;
}

/**
 * @throws ConflictError for a file that is there and neither to be resumed nor overwritten, that another process works
 *   on, or that is of another version
 * @throws IoError
 */
export async function openTensorJournal(
  path: string,
  { resume = false, overwrite = false, salt, memoryByteLimit = MEMORY_BYTE_LIMIT }: TensorJournalOptions,
): Promise<TensorJournal> {
  const journal = new FileJournal(path, salt, memoryByteLimit);
  const found = await openExisting(path);
  if (found === undefined) return journal;
  try {
    await assertFree(found, path);
    if (resume) {
      await journal.takeOver(found);
      return journal;
    }
    if (!overwrite) {
      throw new ConflictError(
        `${path}: an interrupted run left finished tensors; continue it with the option resume (--resume), ` +
          'or start anew with overwrite (--overwrite)',
      );
    }
    await withIoErrors('remove', path, () => rm(path));
  } catch (error) {
    await found.close();
    throw error;
  }
  await found.close();
  return journal;
}

/** @throws ConflictError unless it is a journal that nobody works on */
async function assertFree(handle: FileHandle, path: string): Promise<void> {
  const header = await readHeader(handle, path);
  const known = header.slice(0, ANY_FIRST_LINE.length);
  if (known !== ANY_FIRST_LINE.slice(0, known.length)) {
    throw new ConflictError(
      `${path}: expected the finished tensors of an interrupted run, found another file`,
    );
  }
  if (!header.startsWith(FIRST_LINE)) return;
  const pid = runningProcess(header.slice(FIRST_LINE.length).trim());
  if (pid === undefined) return;
  throw new ConflictError(`${path}: process ${pid} is working on it; wait for it to end, or stop it`);
}

/** What is there of the first two lines. */
async function readHeader(handle: FileHandle, path: string): Promise<string> {
  const bytes = new Uint8Array(HEADER_BYTE_LENGTH);
  const { bytesRead } = await withIoErrors('read', path, () => handle.read(bytes, 0, bytes.byteLength, 0));
  return Buffer.from(bytes.buffer, 0, bytesRead).toString('latin1');
}

function headerBytes(owner: string): Buffer {
  return Buffer.from(`${FIRST_LINE}${owner.padEnd(OWNER_BYTE_LENGTH - 1)}\n`, 'latin1');
}

async function openExisting(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r+');
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    return withIoErrors('open', path, () => Promise.reject(error));
  }
}

/** What a record says of its tensor; payloads follow in order. */
interface RecordHead {
  readonly key: string;
  readonly tensor: Omit<StoredTensor, 'terms' | 'singularValues'> & {
    readonly singularValues?: readonly number[];
    readonly terms: readonly (Omit<StoredTensor['terms'][number], 'chunks'> & {
      readonly chunks: readonly {
        readonly byteLength: number;
        readonly crc32: number;
        readonly squaredErrorDrop: number;
      }[];
    })[];
  };
}

class FileJournal implements TensorJournal {
  resumedCount = 0;
  readonly #path: string;
  readonly #salt: string;
  readonly #found = new Map<string, StoredTensor>();
  /** Records that memory holds until the file is worth its while. */
  #waiting: { readonly key: string; readonly tensor: EncodedTensor }[] | undefined = [];
  #waitingByteLength = 0;
  readonly #memoryByteLimit: number;
  #opening: Promise<FileHandle> | undefined;
  #handle: FileHandle | undefined;
  /** Records on their way to the file. */
  readonly #writing = new Set<Promise<unknown>>();
  /** Records in the file. */
  #recordCount = 0;
  #isClosed = false;
  #end = HEADER_BYTE_LENGTH;

  constructor(path: string, salt: string, memoryByteLimit: number) {
    this.#path = path;
    this.#salt = salt;
    this.#memoryByteLimit = memoryByteLimit;
  }

  get isKept(): boolean {
    return this.#handle !== undefined && this.#recordCount > 0;
  }

  find(key: string): StoredTensor | undefined {
    return this.#found.get(this.#salted(key));
  }

  async put(key: string, tensor: EncodedTensor): Promise<StoredTensor> {
    const record = { key: this.#salted(key), tensor };
    if (this.#waiting === undefined) return this.#writeLast(record);
    this.#waiting.push(record);
    for (const { chunks } of tensor.terms) {
      for (const { bytes } of chunks) this.#waitingByteLength += bytes.byteLength;
    }
    if (this.#waitingByteLength > this.#memoryByteLimit) {
      const waiting = this.#waiting;
      this.#waiting = undefined;
      for (const one of waiting) await this.#writeLast(one);
    }
    return storeTensor(tensor, memoryChunk);
  }

  /** Reads the records of a file, and goes on behind the last whole one. */
  async takeOver(handle: FileHandle): Promise<void> {
    this.#handle = handle;
    this.#opening = Promise.resolve(handle);
    const header = await readHeader(handle, this.#path);
    // A run that was killed while it wrote the header has finished nothing.
    const isBegun = header.length >= HEADER_BYTE_LENGTH;
    if (!header.startsWith(FIRST_LINE) && (isBegun || !FIRST_LINE.startsWith(header))) {
      throw new ConflictError(
        `${this.#path}: expected the finished tensors of ${FIRST_LINE.trim()}, found those of another version; ` +
          'start anew with overwrite (--overwrite), or remove it',
      );
    }
    while (isBegun) {
      const record = await this.#readRecord(handle);
      if (record === undefined) break;
      this.#found.set(record.key, record.tensor);
      this.#end = record.end;
      this.resumedCount++;
      this.#recordCount++;
    }
    await withIoErrors('write', this.#path, () => handle.truncate(this.#end));
    await this.#writeAt(handle, headerBytes(processIdentity()), 0);
    this.#waiting = undefined;
  }

  async close(): Promise<void> {
    const handle = await this.#settle();
    if (handle === undefined) return;
    await this.#writeAt(handle, headerBytes(''), 0).finally(() =>
      withIoErrors('close', this.#path, () => handle.close()),
    );
  }

  async remove(): Promise<void> {
    const handle = await this.#settle();
    if (handle === undefined) return;
    await handle.close().catch(() => {}); // What is in it is of no use any more.
    await withIoErrors('remove', this.#path, () => rm(this.#path, { force: true }));
  }

  /** Lets no further record in, and waits for those on their way. */
  async #settle(): Promise<FileHandle | undefined> {
    this.#isClosed = true;
    await Promise.allSettled(this.#writing);
    const handle = this.#handle;
    this.#handle = undefined;
    return handle;
  }

  #salted(key: string): string {
    return `${this.#salt} ${key}`;
  }

  #file(): Promise<FileHandle> {
    this.#opening ??= this.#create();
    return this.#opening;
  }

  async #create(): Promise<FileHandle> {
    const path = this.#path;
    let handle: FileHandle;
    try {
      // 'wx': another run that works on this output keeps its own.
      handle = await open(path, 'wx+');
    } catch (error) {
      if (isSystemError(error, 'EEXIST')) {
        throw new ConflictError(`${path}: another run has begun to work on this output`, { cause: error });
      }
      return withIoErrors('create', path, () => Promise.reject(error));
    }
    this.#handle = handle;
    await this.#writeAt(handle, headerBytes(processIdentity()), 0);
    return handle;
  }

  /** Writes a record that `close` and `remove` wait for. */
  #writeLast(record: { key: string; tensor: EncodedTensor }): Promise<StoredTensor> {
    if (this.#isClosed) return Promise.reject(new IoError(`${this.#path}: is closed`));
    const written = this.#write(record);
    this.#writing.add(written);
    return written.finally(() => this.#writing.delete(written));
  }

  async #write({ key, tensor }: { key: string; tensor: EncodedTensor }): Promise<StoredTensor> {
    const handle = await this.#file();
    const payloads: Uint8Array[] = [];
    const terms = tensor.terms.map((term) => ({
      ...term,
      chunks: term.chunks.map(({ bytes, squaredErrorDrop }) => {
        payloads.push(bytes);
        return { byteLength: bytes.byteLength, crc32: crc32(bytes), squaredErrorDrop };
      }),
    }));
    const singularValues = tensor.singularValues && [...tensor.singularValues];
    const head: RecordHead = {
      key,
      tensor: { ...tensor, terms, ...(singularValues === undefined ? {} : { singularValues }) } as never,
    };
    const json = new TextEncoder().encode(JSON.stringify(head));
    const front = new Uint8Array(8 + json.byteLength);
    const view = new DataView(front.buffer);
    view.setUint32(0, json.byteLength, true);
    view.setUint32(4, crc32(json), true);
    front.set(json, 8);
    const start = this.#end;
    const payloadStart = start + front.byteLength;
    this.#end = payloads.reduce((sum, { byteLength }) => sum + byteLength, payloadStart);
    let at = payloadStart;
    for (const payload of payloads) {
      await this.#writeAt(handle, payload, at);
      at += payload.byteLength;
    }
    // The head last: a record without its payload is none.
    await this.#writeAt(handle, front, start);
    this.#recordCount++;
    return this.#stored(head, payloadStart).tensor;
  }

  async #writeAt(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.byteLength; ) {
      const { bytesWritten } = await withIoErrors('write', this.#path, () =>
        handle.write(bytes, done, bytes.byteLength - done, position + done),
      );
      done += bytesWritten;
    }
  }

  /** The tensor of a head whose payloads start at an offset, and where they end. */
  #stored(head: RecordHead, start: number): { readonly tensor: StoredTensor; readonly end: number } {
    let offset = start;
    const { terms, singularValues, ...rest } = head.tensor;
    const tensor: StoredTensor = {
      ...rest,
      ...(singularValues === undefined ? {} : { singularValues: Float64Array.from(singularValues) }),
      terms: terms.map((term) => ({
        ...term,
        chunks: term.chunks.map(({ squaredErrorDrop, ...chunk }) => {
          const place = offset;
          offset += chunk.byteLength;
          return { chunk: this.#chunkAt(place, chunk.byteLength, chunk.crc32), squaredErrorDrop };
        }),
      })),
    };
    return { tensor, end: offset };
  }

  #chunkAt(offset: number, byteLength: number, checksum: number): StoredChunk {
    return {
      byteLength,
      crc32: checksum,
      isHeld: false,
      read: async () => {
        const handle = this.#handle;
        if (handle === undefined) throw new IoError(`${this.#path}: is closed`);
        const bytes = await this.#read(handle, offset, byteLength);
        if (bytes === undefined || crc32(bytes) !== checksum) {
          throw new IoError(`${this.#path}: changed while it was in use, at byte ${offset}`);
        }
        return bytes;
      },
    };
  }

  /** The record at the end of those read so far; undefined where there is no whole one. */
  async #readRecord(
    handle: FileHandle,
  ): Promise<{ key: string; tensor: StoredTensor; end: number } | undefined> {
    const start = this.#end;
    const front = await this.#read(handle, start, 8);
    if (front === undefined) return undefined;
    const view = new DataView(front.buffer, front.byteOffset);
    const length = view.getUint32(0, true);
    if (length === 0 || length > MAX_HEAD_BYTE_LENGTH) return undefined;
    const json = await this.#read(handle, start + 8, length);
    if (json === undefined || crc32(json) !== view.getUint32(4, true)) return undefined;
    const head = JSON.parse(new TextDecoder().decode(json)) as RecordHead;
    const { tensor, end } = this.#stored(head, start + 8 + length);
    for (const { chunks } of tensor.terms) {
      for (const { chunk } of chunks) {
        try {
          await chunk.read();
        } catch {
          return undefined;
        }
      }
    }
    return { key: head.key, tensor, end };
  }

  /** Bytes at an offset; undefined where the file ends before. */
  async #read(handle: FileHandle, offset: number, byteLength: number): Promise<Uint8Array | undefined> {
    const bytes = new Uint8Array(byteLength);
    for (let done = 0; done < byteLength; ) {
      const { bytesRead } = await withIoErrors('read', this.#path, () =>
        handle.read(bytes, done, byteLength - done, offset + done),
      );
      if (bytesRead === 0) return undefined;
      done += bytesRead;
    }
    return bytes;
  }
}

/**
 * A store in a bucket of S3, or of a server that speaks its protocol (docs/spec/store-backends.md §4): the value of a
 * key is the object `<prefix>/<key>`. An object is there whole or not at all, and every later request sees it.
 */
import { randomBytes } from 'node:crypto';
import { assertRange } from '../../../formats/byte-source.js';
import { IoError, NotFoundError } from '../../../formats/errors.js';
import { throwIfAborted } from '../../io/abort.js';
import { RetryableError, withRetries } from '../../io/retries.js';
import type { Content, Key, OpenValue, RequestOptions, StoreBackend, StoredValue } from '../backend.js';
import { assertKey, assertPrefix, isKey, RESERVED_SEGMENT } from '../keys.js';
import { assertReadable, DEFAULT_MAX_BYTE_LENGTH } from './content.js';
import {
  connectS3,
  isConditionFailure,
  type S3Access,
  type S3Connection,
  statusOf,
  withS3Errors,
} from './s3-client.js';
import { endOldUploads, removeOldTombstones } from './s3-leftovers.js';
import { assertS3Location } from './s3-location.js';
import {
  isTombstone,
  probeConditions,
  type S3Conditions,
  swapObject,
  TOMBSTONE_BYTE_LENGTH,
} from './s3-swap.js';
import { abortedBy, type S3Target, uploadContent } from './s3-upload.js';

export type { S3Connection, S3Credentials } from './s3-client.js';
export { parseS3Url, type S3Location } from './s3-location.js';

/** Possible tombstones of a listing that are asked for at once. */
const HEADS_AT_ONCE = 16;

/**
 * A backend over a bucket, which is there. Nothing is asked of the server yet.
 * @throws RangeError for a malformed location; UnsupportedError where @aws-sdk/client-s3 is not installed
 */
export async function openS3Backend(connection: S3Connection): Promise<StoreBackend> {
  assertS3Location(connection);
  return new S3Backend(connection, await connectS3(connection));
}

class S3Backend implements StoreBackend {
  readonly location: string;
  readonly isReadOnly = false;
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #pageLength: number;
  readonly #access: S3Access;
  /** Which conditions the server heeds, asked once for all callers. */
  #conditions: Promise<S3Conditions> | undefined;

  constructor({ bucket, prefix, pageLength }: S3Connection, access: S3Access) {
    this.#pageLength = pageLength ?? 1000;
    this.#bucket = bucket;
    this.#prefix = prefix === '' ? '' : `${prefix}/`;
    this.#access = access;
    this.location = `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`;
  }

  async read(
    key: Key,
    options: RequestOptions & { readonly maxByteLength?: number } = {},
  ): Promise<Uint8Array> {
    const target = this.#target(key);
    const { shown } = target;
    const { client, s3 } = this.#access;
    return withS3Errors('read', shown, options.signal, () =>
      withRetries({}, options.signal, async () => {
        const { Body, ContentLength, Metadata } = await client.send(
          new s3.GetObjectCommand(inputOf(target)),
          abortedBy(options.signal),
        );
        try {
          if (isTombstone(Metadata)) throw new NotFoundError(`${shown}: there is no such value`);
          assertReadable(shown, ContentLength ?? 0, options.maxByteLength ?? DEFAULT_MAX_BYTE_LENGTH);
        } catch (error) {
          (Body as { destroy?: () => void } | undefined)?.destroy?.();
          throw error;
        }
        return bodyBytes(Body, ContentLength ?? 0, shown);
      }),
    );
  }

  async open(key: Key, options: RequestOptions = {}): Promise<OpenValue> {
    const target = this.#target(key);
    const found = await this.#head(target, options.signal);
    if (found === undefined) throw new NotFoundError(`${target.shown}: there is no such value`);
    return this.#openValue(target, found.byteLength, found.etag, options.signal);
  }

  async stat(key: Key, options: RequestOptions = {}): Promise<StoredValue | undefined> {
    const found = await this.#head(this.#target(key), options.signal);
    return found && { key, byteLength: found.byteLength, modifiedMs: found.modifiedMs };
  }

  async *list(prefix: string, options: RequestOptions = {}): AsyncGenerator<StoredValue, void, void> {
    assertPrefix(prefix);
    const { signal } = options;
    const { client, s3 } = this.#access;
    const input = {
      Bucket: this.#bucket,
      Prefix: this.#prefix + (prefix === '' ? '' : `${prefix}/`),
      MaxKeys: this.#pageLength,
    };
    let ContinuationToken: string | undefined;
    do {
      const page = await withS3Errors('list', this.location, signal, () =>
        client.send(
          new s3.ListObjectsV2Command({
            ...input,
            ...(ContinuationToken !== undefined && { ContinuationToken }),
          }),
          abortedBy(signal),
        ),
      );
      const values: StoredValue[] = [];
      for (const { Key: objectKey = '', Size = 0, LastModified } of page.Contents ?? []) {
        const key = objectKey.slice(this.#prefix.length);
        if (isKey(key)) values.push({ key, byteLength: Size, modifiedMs: LastModified?.getTime() ?? 0 });
      }
      yield* await this.#withoutTombstones(values, signal);
      throwIfAborted(signal);
      ContinuationToken = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (ContinuationToken !== undefined);
  }

  async write(key: Key, content: Content, options: RequestOptions = {}): Promise<void> {
    const target = this.#target(key);
    await withS3Errors('write', target.shown, options.signal, () =>
      uploadContent(this.#access, target, content, options.signal),
    );
  }

  async compareAndSwap(
    key: Key,
    expected: Uint8Array | undefined,
    next: Uint8Array | undefined,
    options: RequestOptions = {},
  ): Promise<boolean> {
    const target = this.#target(key);
    const { signal } = options;
    return withS3Errors('write', target.shown, signal, async () =>
      swapObject(this.#access, target, await this.#askConditions(), expected, next, signal),
    );
  }

  async remove(key: Key, options: RequestOptions = {}): Promise<void> {
    const target = this.#target(key);
    const { client, s3 } = this.#access;
    await withS3Errors('remove', target.shown, options.signal, () =>
      client.send(new s3.DeleteObjectCommand(inputOf(target)), abortedBy(options.signal)),
    );
  }

  async removeLeftovers(options: RequestOptions = {}): Promise<number> {
    const folder = { bucket: this.#bucket, prefix: this.#prefix };
    const { signal } = options;
    return withS3Errors('remove', this.location, signal, async () => {
      const parts = await endOldUploads(this.#access, folder, signal);
      const conditions = () => this.#askConditions();
      return parts + (await removeOldTombstones(this.#access, folder, conditions, signal));
    });
  }

  async close(): Promise<void> {
    this.#access.client.destroy();
  }

  async #askConditions(): Promise<S3Conditions> {
    const probe = `${RESERVED_SEGMENT}/conditions-${randomBytes(16).toString('hex')}`;
    this.#conditions ??= probeConditions(this.#access, this.#targetOf(probe));
    try {
      return await this.#conditions;
    } catch (error) {
      // What hindered the question need not hinder the next one.
      this.#conditions = undefined;
      throw error;
    }
  }

  async #head(target: S3Target, signal: AbortSignal | undefined) {
    const { client, s3 } = this.#access;
    return withS3Errors('open', target.shown, signal, async () => {
      try {
        const input = new s3.HeadObjectCommand(inputOf(target));
        const { ContentLength, ETag, LastModified, Metadata } = await client.send(input, abortedBy(signal));
        if (isTombstone(Metadata)) return undefined;
        return { byteLength: ContentLength ?? 0, etag: ETag, modifiedMs: LastModified?.getTime() ?? 0 };
      } catch (error) {
        // The answer to HEAD has no body that would tell a missing bucket from a missing object.
        if (statusOf(error) === 404) return undefined;
        throw error;
      }
    });
  }

  #openValue(
    target: S3Target,
    byteLength: number,
    etag: string | undefined,
    signal: AbortSignal | undefined,
  ): OpenValue {
    const { client, s3 } = this.#access;
    const { shown } = target;
    let isClosed = false;
    const readPart = async (offset: number, length: number): Promise<Uint8Array> => {
      const Range = `bytes=${offset}-${offset + length - 1}`;
      const input = { ...inputOf(target), Range, ...(etag !== undefined && { IfMatch: etag }) };
      try {
        const { Body, ETag } = await client.send(new s3.GetObjectCommand(input), abortedBy(signal));
        // Servers that do not heed the condition tell the ETag.
        if (ETag === etag) return await bodyBytes(Body, length, shown);
        (Body as { destroy?: () => void } | undefined)?.destroy?.();
      } catch (error) {
        if (!isConditionFailure(error) && statusOf(error) !== 416) throw error;
      }
      throw new IoError(`${shown}: cannot read: it was changed since it was opened`);
    };
    return {
      name: shown,
      byteLength,
      async read(offset, length, room) {
        assertRange(shown, byteLength, offset, length);
        if (isClosed) throw new IoError(`${shown}: cannot read: the value is closed`);
        if (length === 0) return new Uint8Array(0);
        const part = await withS3Errors('read', shown, signal, () =>
          withRetries({}, signal, () => readPart(offset, length)),
        );
        if (room?.byteLength !== length) return part;
        room.set(part);
        return room;
      },
      async close() {
        isClosed = true;
      },
    };
  }

  async #withoutTombstones(
    values: readonly StoredValue[],
    signal: AbortSignal | undefined,
  ): Promise<readonly StoredValue[]> {
    const suspects = values.filter(({ byteLength }) => byteLength === TOMBSTONE_BYTE_LENGTH);
    const removed = new Set<Key>();
    for (let at = 0; at < suspects.length; at += HEADS_AT_ONCE) {
      const some = suspects.slice(at, at + HEADS_AT_ONCE);
      const found = await Promise.all(some.map(({ key }) => this.#head(this.#target(key), signal)));
      some.forEach(({ key }, i) => {
        if (found[i] === undefined) removed.add(key);
      });
    }
    return removed.size === 0 ? values : values.filter(({ key }) => !removed.has(key));
  }

  #target(key: Key): S3Target {
    assertKey(key);
    return this.#targetOf(key);
  }

  #targetOf(path: string): S3Target {
    return { bucket: this.#bucket, objectKey: this.#prefix + path, shown: `${this.location}/${path}` };
  }
}

function inputOf({ bucket, objectKey }: S3Target): { Bucket: string; Key: string } {
  return { Bucket: bucket, Key: objectKey };
}

/** All bytes of an answer; a connection that ended early is asked again, which the client does for answers only. */
async function bodyBytes(
  body: { transformToByteArray(): Promise<Uint8Array> } | undefined,
  byteLength: number,
  shown: string,
): Promise<Uint8Array> {
  const early = (cause?: unknown) =>
    new RetryableError(new IoError(`${shown}: cannot read: the answer ended early`, { cause }));
  const bytes = await (body?.transformToByteArray() ?? Promise.resolve(new Uint8Array(0))).catch(
    (error: unknown) => {
      throw early(error);
    },
  );
  if (bytes.byteLength !== byteLength) throw early();
  return bytes;
}

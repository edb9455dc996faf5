/**
 * compareAndSwap on S3 (docs/spec/store-backends.md §4.2), by conditional writes: If-None-Match: * where there is no
 * object, If-Match with its ETag where there is one.
 *
 * Where deletes are not conditional too, a removed value stays as a tombstone: an object that says it is none. Its
 * content is random, since an ETag follows from the content: no two are taken for each other.
 */
import { randomBytes } from 'node:crypto';
import { ConflictError, UnsupportedError } from '../../../formats/errors.js';
import { delay } from '../../io/abort.js';
import { equalContents } from './content.js';
import { isConditionFailure, type S3Access, statusOf } from './s3-client.js';
import { abortedBy, type S3Target } from './s3-upload.js';

/** Metadata of an object: `removed` on a tombstone. */
const STATE = 'ere-state';
/** Metadata: which call of compareAndSwap wrote it, to know one's own write again when its answer was lost. */
const WRITER = 'ere-writer';

const TOMBSTONE_START = 'ere: removed ';
/** Only objects of this length need to be asked whether they are one; few are so short. */
export const TOMBSTONE_BYTE_LENGTH = TOMBSTONE_START.length + 32;

/** A condition fails where another writer was faster; as often in a row means that something is wrong. */
const MAX_ATTEMPTS = 20;

/** What a server heeds, beside conditions on writes, without which there is no compareAndSwap. */
export interface S3Conditions {
  readonly onDelete: boolean;
}

type Metadata = Readonly<Record<string, string>> | undefined;

export function isTombstone(metadata: Metadata): boolean {
  return metadata?.[STATE] === 'removed';
}

/** Errors of the client unchanged. @throws ConflictError when others are faster again and again */
export async function swapObject(
  access: S3Access,
  target: S3Target,
  conditions: S3Conditions,
  expected: Uint8Array | undefined,
  next: Uint8Array | undefined,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const writer = randomBytes(16).toString('hex');
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const current = await readObject(access, target, expected?.byteLength ?? 0, signal);
    if (attempt > 1 && current.writer === writer) return true;
    if (!equalContents(current.bytes, expected)) return false;
    if (current.bytes === undefined && next === undefined) return true;
    try {
      if (next === undefined && conditions.onDelete) await deleteIf(access, target, current.etag, signal);
      else await putIf(access, target, current.etag, next, writer, signal);
      return true;
    } catch (error) {
      if (!isConditionFailure(error)) throw error;
      await delay(Math.random() * 20 * attempt, signal);
    }
  }
  throw new ConflictError(`${target.shown}: cannot write: others were faster ${MAX_ATTEMPTS} times`);
}

interface CurrentObject {
  /** Undefined where there is no object, or a tombstone. A prefix that is too long, where it is longer than expected. */
  readonly bytes: Uint8Array | undefined;
  readonly etag: string | undefined;
  readonly writer: string | undefined;
}

async function readObject(
  { client, s3 }: S3Access,
  { bucket, objectKey }: S3Target,
  expectedByteLength: number,
  signal: AbortSignal | undefined,
): Promise<CurrentObject> {
  try {
    const input = { Bucket: bucket, Key: objectKey };
    const { Body, ContentLength, ETag, Metadata } = await client.send(
      new s3.GetObjectCommand(input),
      abortedBy(signal),
    );
    const found = { etag: ETag, writer: Metadata?.[WRITER] };
    const isRemoved = isTombstone(Metadata);
    if (isRemoved || ContentLength !== expectedByteLength) {
      (Body as { destroy?: () => void } | undefined)?.destroy?.();
      // Some other length, of whatever bytes.
      return { ...found, bytes: isRemoved ? undefined : new Uint8Array(expectedByteLength + 1) };
    }
    return { ...found, bytes: (await Body?.transformToByteArray()) ?? new Uint8Array(0) };
  } catch (error) {
    if (statusOf(error) !== 404 || (error as Error).name === 'NoSuchBucket') throw error;
    return { bytes: undefined, etag: undefined, writer: undefined };
  }
}

async function putIf(
  { client, s3 }: S3Access,
  { bucket, objectKey }: S3Target,
  etag: string | undefined,
  next: Uint8Array | undefined,
  writer: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const tombstone = new TextEncoder().encode(TOMBSTONE_START + randomBytes(16).toString('hex'));
  const Body = next ?? tombstone;
  const input = {
    Bucket: bucket,
    Key: objectKey,
    Body,
    ContentLength: Body.byteLength,
    Metadata: { [WRITER]: writer, ...(next === undefined && { [STATE]: 'removed' }) },
    ...(etag === undefined ? { IfNoneMatch: '*' } : { IfMatch: etag }),
  };
  await client.send(new s3.PutObjectCommand(input), abortedBy(signal));
}

/** Errors of the client unchanged. */
async function deleteIf(
  { client, s3 }: S3Access,
  { bucket, objectKey }: S3Target,
  etag: string | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const input = { Bucket: bucket, Key: objectKey, ...(etag !== undefined && { IfMatch: etag }) };
  await client.send(new s3.DeleteObjectCommand(input), abortedBy(signal));
}

/** An ETag that no object has. */
const NO_ETAG = '"00000000000000000000000000000000"';

/**
 * Asks which conditions the server heeds: one that does not know them would let every writer win.
 * @param target an object that is not there, and that nobody else uses; it is removed again
 * @throws UnsupportedError where it heeds none on writes
 */
export async function probeConditions(access: S3Access, target: S3Target): Promise<S3Conditions> {
  const put = (etag: string | undefined) =>
    putIf(access, target, etag, new Uint8Array(0), 'probe', undefined);
  // Makes it. Where the answer is lost and the request repeated, that one is refused already.
  await isRefused(() => put(undefined));
  const areHeeded = (await isRefused(() => put(undefined))) && (await isRefused(() => put(NO_ETAG)));
  const onDelete = areHeeded && (await isRefused(() => deleteIf(access, target, NO_ETAG, undefined)));
  await deleteIf(access, target, undefined, undefined);
  if (areHeeded) return { onDelete };
  const reason =
    'the server does not heed If-None-Match and If-Match, and parallel writers would lose versions';
  throw new UnsupportedError('conditional writes', `${target.shown}: cannot write: ${reason}`);
}

async function isRefused(request: () => Promise<void>): Promise<boolean> {
  try {
    await request();
    return false;
  } catch (error) {
    const status = statusOf(error);
    if (status === 412 || status === 409) return true;
    if (status === 400 || status === 501) return false;
    throw error;
  }
}

/**
 * Removes a tombstone, if it is one. Where deletes are not conditional, a value that is written meanwhile would go
 * with it: nobody may write there. Errors of the client unchanged.
 * @returns whether it was one
 */
export async function removeTombstone(
  access: S3Access,
  target: S3Target,
  conditions: S3Conditions,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const { client, s3 } = access;
  const input = { Bucket: target.bucket, Key: target.objectKey };
  try {
    const { ETag, Metadata } = await client.send(new s3.HeadObjectCommand(input), abortedBy(signal));
    if (!isTombstone(Metadata)) return false;
    await deleteIf(access, target, conditions.onDelete ? ETag : undefined, signal);
    return true;
  } catch (error) {
    if (!isConditionFailure(error)) throw error;
    return false;
  }
}

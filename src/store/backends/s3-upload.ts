/** Writing a content to S3: in one request where it is small, else in parts, which become a value all at once. */
import { LimitError } from '../../../formats/errors.js';
import type { Content } from '../backend.js';
import { contentPieces } from './content.js';
import type { S3Access } from './s3-client.js';

export interface S3Target {
  readonly bucket: string;
  readonly objectKey: string;
  readonly shown: string;
}

/** All parts but the last one are equal, as some servers want; 10,000 of them make a value of 156 GiB. */
export const PART_BYTE_LENGTH = 16 << 20;
const MAX_PART_COUNT = 10_000;
/** Parts on their way at once: with the one that is filled, the memory of a write. */
const PARTS_AT_ONCE = 4;

/** Errors of the client unchanged; the content's own unchanged. */
export async function uploadContent(
  access: S3Access,
  target: S3Target,
  content: Content,
  signal: AbortSignal | undefined,
): Promise<void> {
  const parts = partsOf(content, signal);
  try {
    const first = await parts.next();
    const second = first.done === true ? first : await parts.next();
    if (second.done === true) {
      await put(access, target, first.value ?? new Uint8Array(0), signal);
    } else {
      await uploadParts(access, target, [first.value!, second.value], parts, signal);
    }
  } finally {
    await parts.return();
  }
}

async function put(
  { client, s3 }: S3Access,
  { bucket, objectKey }: S3Target,
  bytes: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  const input = { Bucket: bucket, Key: objectKey, Body: bytes, ContentLength: bytes.byteLength };
  await client.send(new s3.PutObjectCommand(input), abortedBy(signal));
}

async function uploadParts(
  { client, s3 }: S3Access,
  { bucket, objectKey, shown }: S3Target,
  first: readonly Uint8Array[],
  rest: AsyncGenerator<Uint8Array, void, void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const id = { Bucket: bucket, Key: objectKey };
  const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand(id), abortedBy(signal));
  const upload = { ...id, UploadId };
  // Ends the parts that are on their way when one of them, or the content, fails.
  const stop = new AbortController();
  const partSignal = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const sending = new Set<Promise<void>>();
  try {
    const sent: { ETag: string | undefined; PartNumber: number }[] = [];
    let failure: { readonly error: unknown } | undefined;
    const send = async (Body: Uint8Array, PartNumber: number): Promise<void> => {
      const part = { ...upload, PartNumber, Body, ContentLength: Body.byteLength };
      const { ETag } = await client.send(new s3.UploadPartCommand(part), { abortSignal: partSignal });
      sent.push({ ETag, PartNumber });
    };
    let count = 0;
    for await (const part of chain(first, rest)) {
      if (++count > MAX_PART_COUNT) {
        const limit = MAX_PART_COUNT * PART_BYTE_LENGTH;
        throw new LimitError(`${shown}: expected at most ${limit} bytes, found more`, limit, limit + 1);
      }
      const sendingPart = send(part, count).catch((error: unknown) => {
        failure ??= { error };
      });
      sending.add(sendingPart);
      sendingPart.finally(() => sending.delete(sendingPart));
      if (sending.size >= PARTS_AT_ONCE) await Promise.race(sending);
      if (failure !== undefined) break;
    }
    await Promise.all(sending);
    if (failure !== undefined) throw failure.error;
    sent.sort((a, b) => a.PartNumber - b.PartNumber);
    const complete = { ...upload, MultipartUpload: { Parts: sent } };
    await client.send(new s3.CompleteMultipartUploadCommand(complete), abortedBy(signal));
  } catch (error) {
    stop.abort();
    await Promise.all(sending);
    // The first error is the one to tell. What is left costs until removeLeftovers.
    await client.send(new s3.AbortMultipartUploadCommand(upload)).catch(() => {});
    throw error;
  }
}

/** The content in arrays of PART_BYTE_LENGTH, but for the last one; none is written to again. */
async function* partsOf(
  content: Content,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  if (content instanceof Uint8Array) {
    for (let at = 0; at < content.byteLength; at += PART_BYTE_LENGTH) {
      yield content.subarray(at, at + PART_BYTE_LENGTH);
    }
    return;
  }
  let room: Uint8Array | undefined;
  let filled = 0;
  for await (const piece of contentPieces(content, signal)) {
    for (let at = 0; at < piece.byteLength; ) {
      room ??= new Uint8Array(PART_BYTE_LENGTH);
      const taken = piece.subarray(at, at + room.byteLength - filled);
      room.set(taken, filled);
      filled += taken.byteLength;
      at += taken.byteLength;
      if (filled < room.byteLength) continue;
      yield room;
      room = undefined;
      filled = 0;
    }
  }
  if (room !== undefined) yield room.subarray(0, filled);
}

async function* chain(
  first: readonly Uint8Array[],
  rest: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield* first;
  yield* rest;
}

export function abortedBy(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}

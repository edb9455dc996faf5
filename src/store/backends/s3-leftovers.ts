/**
 * What is left in a bucket that nobody needs: uploads in parts that were not completed, whose parts S3 keeps and
 * charges for, and tombstones (s3-swap.ts).
 */
import { throwIfAborted } from '../../io/abort.js';
import { type S3Access, statusOf } from './s3-client.js';
import { removeTombstone, type S3Conditions, TOMBSTONE_BYTE_LENGTH } from './s3-swap.js';
import { abortedBy } from './s3-upload.js';

export interface S3Folder {
  readonly bucket: string;
  /** Ends in '/', or is ''. */
  readonly prefix: string;
}

/** Nothing tells whose an upload is, so that only its age does: the largest value needs hours. */
const LEFTOVER_AGE_MS = 24 * 60 * 60 * 1000;

/**
 * Ends the uploads of a folder that are older than a day.
 * @returns bytes of the parts; 0 on servers that list no uploads. Errors of the client unchanged
 */
export async function endOldUploads(
  { client, s3 }: S3Access,
  { bucket, prefix }: S3Folder,
  signal: AbortSignal | undefined,
): Promise<number> {
  let byteLength = 0;
  let markers = {};
  for (let isTruncated = true; isTruncated; ) {
    throwIfAborted(signal);
    const input = { Bucket: bucket, Prefix: prefix, ...markers };
    const page = await client
      .send(new s3.ListMultipartUploadsCommand(input), abortedBy(signal))
      .catch((error: unknown) => {
        if (statusOf(error) === 501) return undefined;
        throw error;
      });
    for (const { Key, UploadId, Initiated } of page?.Uploads ?? []) {
      if (Initiated === undefined || Date.now() - Initiated.getTime() < LEFTOVER_AGE_MS) continue;
      const upload = { Bucket: bucket, Key, UploadId };
      const { Parts } = await client.send(new s3.ListPartsCommand(upload), abortedBy(signal));
      await client.send(new s3.AbortMultipartUploadCommand(upload), abortedBy(signal));
      // Of the first thousand parts; the others are removed and not counted.
      byteLength += (Parts ?? []).reduce((sum, { Size }) => sum + (Size ?? 0), 0);
    }
    isTruncated = page?.IsTruncated === true;
    markers = { KeyMarker: page?.NextKeyMarker, UploadIdMarker: page?.NextUploadIdMarker };
  }
  return byteLength;
}

/** Removes the tombstones of a folder that are older than a day. @returns their bytes; errors of the client unchanged */
export async function removeOldTombstones(
  access: S3Access,
  { bucket, prefix }: S3Folder,
  conditions: () => Promise<S3Conditions>,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { client, s3 } = access;
  let byteLength = 0;
  for await (const { Contents } of s3.paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: prefix })) {
    for (const { Key: objectKey = '', Size, LastModified } of Contents ?? []) {
      throwIfAborted(signal);
      const isOld = LastModified !== undefined && Date.now() - LastModified.getTime() > LEFTOVER_AGE_MS;
      if (Size !== TOMBSTONE_BYTE_LENGTH || !isOld) continue;
      const target = { bucket, objectKey, shown: `s3://${bucket}/${objectKey}` };
      if (await removeTombstone(access, target, await conditions(), signal)) byteLength += Size;
    }
  }
  return byteLength;
}

/** Ending uploads in parts that nobody completed: S3 keeps, and charges for, their parts until then. */
import { throwIfAborted } from '../../io/abort.js';
import { type S3Access, statusOf } from './s3-client.js';
import { abortedBy } from './s3-upload.js';

/** Nothing tells whose an upload is, so that only its age does: the largest value needs hours. */
const LEFTOVER_AGE_MS = 24 * 60 * 60 * 1000;

/** @returns bytes of the parts; 0 on servers that list no uploads. Errors of the client unchanged */
export async function removeS3Leftovers(
  { client, s3 }: S3Access,
  bucket: string,
  prefix: string,
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

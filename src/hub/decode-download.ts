/**
 * Decoding an archive while it is downloaded. The output appears only when all of the file has come and was found right.
 * What fails on the way is done again with the whole file: that is what there is to tell about, and damage on the way has
 * been mended by then.
 */
import { isEreError } from '../../formats/errors.js';
import { GrowingFile } from '../io/growing-file.js';
import type { DecodeOptions, DecodeReport } from '../residual/api.js';
import { decode, decodeGrowing } from '../residual/decode.js';

export interface DownloadedArchive {
  readonly path: string;
  /** Bytes that came over the network. */
  readonly downloadedByteLength: number;
}

export interface DecodedDownload extends DownloadedArchive {
  readonly decoded: DecodeReport;
}

/**
 * @param byteLength of the file, when it is whole
 * @param download brings it; tells the reader what it writes, or nothing where there was nothing to bring
 * @throws what the download throws; then as decode
 */
export async function decodeDownload(
  byteLength: number,
  download: (reader: GrowingFile) => Promise<DownloadedArchive>,
  options: DecodeOptions,
): Promise<DecodedDownload> {
  const file = new GrowingFile(byteLength);
  const downloading = download(file);
  downloading.then(
    () => file.end(),
    (error) => file.end(error),
  );
  try {
    const early = await decodeEarly(file, options);
    const downloaded = await downloading;
    return { ...downloaded, decoded: early ?? (await decode(downloaded.path, options)) };
  } finally {
    await downloading.catch(() => {});
    await file.close();
  }
}

async function decodeEarly(file: GrowingFile, options: DecodeOptions): Promise<DecodeReport | undefined> {
  if (!(await file.begun)) return undefined;
  try {
    return await decodeGrowing(file, options);
  } catch (error) {
    if (isEreError(error)) return undefined;
    throw error;
  }
}

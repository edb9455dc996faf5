/** What a page names bytes by, as a ByteSource. */
import { assertRange, type ByteSource } from '../../formats/byte-source.js';
import { IoError } from '../../formats/errors.js';
import { type HttpSourceOptions, httpSource } from './http-source.js';

/** A URL, a file that the user chose, or bytes from anywhere. */
export type WebSource = string | URL | Blob | ByteSource;

/** @throws as httpSource */
export async function openSource(source: WebSource, options: HttpSourceOptions = {}): Promise<ByteSource> {
  if (typeof source === 'string' || source instanceof URL) return httpSource(source, options);
  return source instanceof Blob ? blobSource(source) : source;
}

/** A Blob or File; reads throw IoError when the file behind it was changed or removed. */
export function blobSource(blob: Blob, name = blob instanceof File ? blob.name : 'blob'): ByteSource {
  return {
    name,
    byteLength: blob.size,
    async read(offset, length) {
      assertRange(name, blob.size, offset, length);
      try {
        return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
      } catch (cause) {
        throw new IoError(`${name}: cannot read: ${(cause as Error).message}`, { cause });
      }
    },
  };
}

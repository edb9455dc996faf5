/** An archive that a page reaches, open. */
import { type Archive, openArchive as openArchiveSource } from '../../formats/ere/open-archive.js';
import { KNOWN_CODECS } from '../codecs/known-codecs.js';
import { assertIdentity } from '../residual/archive-identity.js';
import { assertWebCrypto } from './decode-tensor.js';
import type { HttpSourceOptions } from './http-source.js';
import { openSource, type WebSource } from './open-source.js';

/** What workers open an archive from again; undefined where they cannot. */
const origins = new WeakMap<Archive, WebSource>();

/**
 * Reads and checks prelude and index: one request for most archives.
 * @param source a URL (fetched by ranges), a Blob or File, or any ByteSource
 * @throws FormatError, UnsupportedError, IntegrityError, LimitError for what is no whole archive that this build decodes;
 *   NotFoundError, IoError as httpSource
 */
export async function openArchive(source: WebSource, options: HttpSourceOptions = {}): Promise<Archive> {
  assertWebCrypto();
  const archive = await openArchiveSource(await openSource(source, options), { codecs: KNOWN_CODECS });
  await assertIdentity(archive);
  if (options.fetch === undefined && options.headers === undefined) origins.set(archive, source);
  return archive;
}

/** What an archive was opened from, where nothing but that was needed. */
export function originOf(archive: Archive): WebSource | undefined {
  return origins.get(archive);
}

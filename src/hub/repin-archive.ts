/** An archive under the name that the Hub has for its base: a new index, the same chunks. */
import { openArchive } from '../../formats/ere/open-archive.js';
import { layoutArchive } from '../../formats/ere/write-archive.js';
import { type AtomicOutputOptions, withAtomicFile } from '../io/atomic-output.js';
import { openFileSource } from '../io/file-source.js';
import { inflateAtOnce } from '../io/inflate-at-once.js';

/**
 * Writes `archive` to `output` with another name and revision of its base; digests are untouched.
 * @throws EreError as openArchive, and IntegrityError for a damaged chunk
 */
export async function repinArchive(
  archive: string,
  base: { readonly name: string; readonly revision: string },
  output: string,
  options: AtomicOutputOptions,
): Promise<void> {
  const source = await openFileSource(archive);
  try {
    const opened = await openArchive(source, { inflate: inflateAtOnce });
    const { chunks, ...description } = opened.index;
    const { front } = await layoutArchive(
      { ...description, base: { ...description.base, ...base } },
      chunks.map(([byteLength, crc32]) => ({ byteLength, crc32 })),
    );
    await withAtomicFile(output, options, async (file) => {
      await file.write(front);
      for (let chunk = 0; chunk < chunks.length; chunk++) await file.write(await opened.readChunk(chunk));
    });
  } finally {
    await source.close();
  }
}

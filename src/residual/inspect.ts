/** inspect: what an archive says of itself, from its index alone. */
import { openArchive } from '../../formats/ere/open-archive.js';
import { openFileSource } from '../io/file-source.js';
import { inflateAtOnce } from '../io/inflate-at-once.js';
import type { InspectReport } from './api.js';
import { tensorReport } from './tensor-report.js';
import { usablePrefixes } from './usable-prefixes.js';

/**
 * Reads the index; no chunk is touched, and codecs that this build cannot decode are listed all the same.
 * @throws EreError as openArchive
 */
export async function inspect(archive: string): Promise<InspectReport> {
  const source = await openFileSource(archive);
  try {
    const opened = await openArchive(source, { inflate: inflateAtOnce });
    const { index, byteLength } = opened;
    return {
      archive,
      byteLength,
      index,
      tensors: index.tensors.map((_, i) => tensorReport(index, i)),
      prefixes: usablePrefixes(opened),
    };
  } finally {
    await source.close();
  }
}

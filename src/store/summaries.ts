/**
 * Summaries of all versions, and the cache that saves reading every manifest (docs/spec/store.md §9). A version never
 * changes, so what the cache says of one is right; it may lack some, and may be dropped.
 */
import * as fields from '../../formats/ere/index-fields.js';
import { isEreError } from '../../formats/errors.js';
import type { VersionId, VersionSummary } from './api.js';
import { SUMMARIES_KEY } from './layout.js';
import { readSummaryFields, summaryOf } from './manifest.js';
import { openRecord, sealRecord } from './record.js';
import type { StoreReader } from './store-reader.js';

/** Manifests that have to be read before the cache is written anew. */
const WRITE_AT = 16;
/** Manifests that are read at once. */
const READS = 16;

/** Every version and base that is in the store, by id. */
export async function readSummaries(reader: StoreReader): Promise<Map<VersionId, VersionSummary>> {
  const [ids, cached] = await Promise.all([reader.versionIds(), readCache(reader)]);
  const summaries = new Map<VersionId, VersionSummary>();
  const missing: VersionId[] = [];
  for (const id of ids) {
    const summary = cached.get(id);
    if (summary === undefined) missing.push(id);
    else summaries.set(id, summary);
  }
  const count = missing.length;
  const readNext = async (): Promise<void> => {
    for (let id = missing.pop(); id !== undefined; id = missing.pop()) {
      const version = await reader.findVersion(id); // Removed meanwhile otherwise.
      if (version !== undefined) summaries.set(id, summaryOf(version));
    }
  };
  await Promise.all(Array.from({ length: READS }, readNext));
  if (count >= WRITE_AT) await writeSummaries(reader, summaries);
  return summaries;
}

/** Writes the cache where that is possible; what goes wrong with it is nobody's business. */
export async function writeSummaries(
  { backend }: StoreReader,
  summaries: ReadonlyMap<VersionId, VersionSummary>,
): Promise<void> {
  if (backend.isReadOnly) return;
  await backend.write(SUMMARIES_KEY, sealRecord([...summaries.values()]).bytes).catch(() => {});
}

async function readCache({ backend }: StoreReader): Promise<Map<VersionId, VersionSummary>> {
  try {
    const bytes = await backend.read(SUMMARIES_KEY, { maxByteLength: 1 << 28 });
    const { value } = await openRecord(bytes, `${backend.location}, ${SUMMARIES_KEY}`);
    const summaries = value.items(
      (item): VersionSummary => ({
        id: fields.digest(item.field('id')),
        ...readSummaryFields(item),
        tensorCount: item.field('tensorCount').integer(),
      }),
    );
    return new Map(summaries.map((summary) => [summary.id, summary]));
  } catch (error) {
    if (isEreError(error)) return new Map();
    throw error;
  }
}

/**
 * How many values the folders of a store hold, and how many bytes: counted, or taken from a cache where the backend can
 * tell that a folder has not changed since (docs/spec/store.md §9). The cache may be dropped at will.
 */
import { isEreError } from '../../formats/errors.js';
import type { StoreBackend } from './backend.js';
import { TALLIES_KEY } from './layout.js';
import { openRecord, sealRecord } from './record.js';

export interface Tally {
  readonly count: number;
  readonly byteLength: number;
}

/** A tally of a folder, and of when it is. */
interface DatedTally extends Tally {
  /** Last change of the folder, by the backend's clock. */
  readonly changedMs: number;
}

/** Folders that a store divides by the first two digits. */
const DIVIDED: ReadonlySet<string> = new Set(['objects', 'tensors']);
/** A change that is so recent may be followed by another at what the clock of a file system takes for the same time. */
const SETTLED_MS = 2000;
/** Values that have to be counted before the cache is written anew. */
const WRITE_AT = 256;

/** Tallies of folders of a store, such as "objects", in the order of their names. */
export async function tallyFolders(backend: StoreBackend, folders: readonly string[]): Promise<Tally[]> {
  if (backend.changedMs === undefined) {
    return Promise.all(folders.map((folder) => countValues(backend, folder)));
  }
  const now = Date.now();
  const cached = await readCache(backend);
  const settled = new Map<string, DatedTally>();
  let countedCount = 0;
  const tallyPart = async (part: string): Promise<Tally> => {
    const changedMs = await backend.changedMs!(part);
    if (changedMs === undefined) return { count: 0, byteLength: 0 };
    const known = cached.get(part);
    const isKnown = known?.changedMs === changedMs;
    const tally = isKnown ? known : { ...(await countValues(backend, part)), changedMs };
    if (!isKnown) countedCount += tally.count;
    if (changedMs < now - SETTLED_MS) settled.set(part, tally);
    return tally;
  };
  const tallies = await Promise.all(
    folders.map(async (folder) => addUp(await Promise.all(partsOf(folder).map(tallyPart)))),
  );
  if (countedCount >= WRITE_AT) await writeCache(backend, settled);
  return tallies;
}

function partsOf(folder: string): string[] {
  if (!DIVIDED.has(folder)) return [folder];
  return Array.from({ length: 256 }, (_, i) => `${folder}/${i.toString(16).padStart(2, '0')}`);
}

async function countValues(backend: StoreBackend, folder: string): Promise<Tally> {
  let count = 0;
  let byteLength = 0;
  for await (const value of backend.list(folder)) {
    count++;
    byteLength += value.byteLength;
  }
  return { count, byteLength };
}

function addUp(tallies: readonly Tally[]): Tally {
  return {
    count: tallies.reduce((sum, { count }) => sum + count, 0),
    byteLength: tallies.reduce((sum, { byteLength }) => sum + byteLength, 0),
  };
}

async function readCache(backend: StoreBackend): Promise<Map<string, DatedTally>> {
  try {
    const { value } = await openRecord(
      await backend.read(TALLIES_KEY),
      `${backend.location}, ${TALLIES_KEY}`,
    );
    const tallies = value.fields((field, folder): [string, DatedTally] => [
      folder,
      {
        changedMs: field.field('changedMs').magnitude(),
        count: field.field('count').integer(),
        byteLength: field.field('byteLength').integer(),
      },
    ]);
    return new Map(tallies);
  } catch (error) {
    if (isEreError(error)) return new Map();
    throw error;
  }
}

/** What goes wrong with it is nobody's business. */
async function writeCache(backend: StoreBackend, tallies: ReadonlyMap<string, DatedTally>): Promise<void> {
  if (backend.isReadOnly) return;
  await backend.write(TALLIES_KEY, sealRecord(Object.fromEntries(tallies)).bytes).catch(() => {});
}

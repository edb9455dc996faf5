/** stats: bytes stored against bytes represented. */
import type { StatsReport } from './api.js';
import { refPrefix } from './layout.js';
import { listRefs } from './refs.js';
import type { StoreReader } from './store-reader.js';
import { readSummaries } from './summaries.js';
import { tallyFolders } from './tallies.js';

/** Folders of everything that is kept: caches, locks and leftovers are not. */
const KEPT = [
  'objects',
  'tensors',
  'versions',
  'removed',
  refPrefix('model'),
  refPrefix('tag'),
  refPrefix('base'),
] as const;

export async function storeStats(reader: StoreReader): Promise<StatsReport> {
  const { backend } = reader;
  const [summaries, models, tags, bases, folders] = await Promise.all([
    readSummaries(reader),
    listRefs(backend, 'model'),
    listRefs(backend, 'tag'),
    listRefs(backend, 'base'),
    tallyFolders(backend, KEPT),
  ]);
  const versions = [...summaries.values()].filter(({ kind }) => kind === 'version');
  const representedByteLength = versions.reduce((sum, version) => sum + version.fineTunedByteLength, 0);
  const storedByteLength = folders.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const [objects, recipes] = folders;
  return {
    versionCount: versions.length,
    modelCount: models.length,
    tagCount: tags.length,
    baseCount: bases.length,
    representedByteLength,
    storedByteLength,
    ratio: representedByteLength === 0 ? 0 : storedByteLength / representedByteLength,
    objectCount: objects!.count,
    tensorCount: versions.reduce((sum, { tensorCount }) => sum + tensorCount, 0),
    storedTensorCount: recipes!.count,
  };
}

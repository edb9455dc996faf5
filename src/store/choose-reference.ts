/** What a version is coded against: the base, its parent or another version, whichever costs least (docs/spec/store.md §7). */
import { NotFoundError } from '../../formats/errors.js';
import type { CommitOptions, ReferenceCandidate } from './api.js';
import { type StoredVersion, shortId } from './manifest.js';
import type { StoredBase, StoreReader } from './store-reader.js';

export interface Plan {
  readonly base: StoredBase;
  /** Undefined for the base itself. */
  readonly reference: StoredVersion | undefined;
  /** "base llama", or a version's id. */
  readonly description: string;
  readonly candidates: readonly ReferenceCandidate[];
  /** Of the checkpoint, serialised. */
  readonly sketch: Uint8Array | undefined;
  /** Coded bytes that one step from the base is expected to take, relative to the weights. */
  readonly directRatio: number;
  /** ‖W − W_reference‖ / ‖W − W_base‖: turns errors relative to the one into errors relative to the other. */
  readonly residualShare: number;
}

export async function chooseReference(
  reader: StoreReader,
  _path: string,
  parent: StoredVersion | undefined,
  options: CommitOptions,
): Promise<Plan> {
  const base = await chooseBase(reader, parent, options);
  const reference = options.against === 'base' ? undefined : parent;
  return {
    base,
    reference,
    description: reference === undefined ? `base ${base.ref.name}` : shortId(reference.id),
    candidates: [],
    sketch: undefined,
    directRatio: 1,
    residualShare: 1,
  };
}

async function chooseBase(
  reader: StoreReader,
  parent: StoredVersion | undefined,
  { base: name }: CommitOptions,
): Promise<StoredBase> {
  const bases = await reader.bases();
  const wanted = name ?? parent?.manifest.base?.name;
  const found = bases.find(({ ref }) => ref.name === wanted) ?? (bases.length === 1 ? bases[0] : undefined);
  if (found === undefined) {
    throw new NotFoundError(
      `${reader.backend.location}: no base ${wanted === undefined ? '' : `"${wanted}" `}among ${bases.map(({ ref }) => ref.name).join(', ') || 'none'}; register it with base add`,
    );
  }
  return found;
}

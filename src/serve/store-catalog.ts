/** A store as a catalog: its models are repositories, its versions their commits, its tags those of every model they belong to. */
import type { LogEntry, VersionId, VersionSummary } from '../store/api.js';
import type { StoreBackend } from '../store/backend.js';
import { hexOf } from '../store/layout.js';
import { logVersions } from '../store/log.js';
import { listRefs, type StoredRef } from '../store/refs.js';
import { assertFormat, StoreReader } from '../store/store-reader.js';
import { openVersion } from '../store/version-sources.js';
import { whileStored } from '../store/while-stored.js';
import type { Catalog, CommitId, ServedCommit, ServedModel, ServedRefs, ServedVersion } from './catalog.js';
import { type DecodePlan, planDecoding } from './decode-plan.js';
import { type OpenedVersion, OpenedVersions, Shared } from './opened-versions.js';
import { Refreshed } from './refreshed.js';
import { beginsWith, COMMIT_DIGITS, isMain } from './revisions.js';
import { servedFiles, servedTensors } from './served-files.js';

export interface StoreCatalogOptions extends DecodePlan {
  readonly backend: StoreBackend;
  /** Where bases are looked for first. */
  readonly basePath?: string | undefined;
}

/** Refs are read again after so long: a commit is seen by then. */
const REFRESH_MS = 1000;

/** The store as refs and history have it at some time. */
interface State {
  /** Of all refs and versions. */
  readonly signature: string;
  readonly models: readonly StoredRef[];
  readonly tags: readonly StoredRef[];
  /** Children before parents. */
  readonly entries: readonly LogEntry[];
  readonly byId: ReadonlyMap<VersionId, LogEntry>;
  /** Histories of models as far as they were asked for. */
  readonly histories: Map<string, readonly LogEntry[]>;
}

/** @throws NotFoundError without a store; UnsupportedError for one of another layout */
export async function openStoreCatalog(options: StoreCatalogOptions): Promise<Catalog> {
  await assertFormat(options.backend);
  return new StoreCatalog(options);
}

class StoreCatalog implements Catalog {
  readonly location: string;
  readonly #options: StoreCatalogOptions;
  readonly #opened = new OpenedVersions();
  readonly #state: Refreshed<State>;
  #openCount = 0;

  constructor(options: StoreCatalogOptions) {
    this.#options = options;
    this.location = options.backend.location;
    this.#state = new Refreshed(REFRESH_MS, (before) => readState(options.backend, before));
  }

  async models(): Promise<ServedModel[]> {
    const state = await this.#state.get();
    return state.models.flatMap(({ name }) => {
      const history = historyOf(state, name);
      const [head] = history;
      return head === undefined ? [] : [{ name, head: commitOf(head), versionCount: history.length }];
    });
  }

  async refs(model: string): Promise<ServedRefs | undefined> {
    const state = await this.#state.get();
    const history = historyOf(state, model);
    const [head] = history;
    if (head === undefined) return undefined;
    const ids = new Set(history.map(({ id }) => id));
    return {
      branches: [{ name: 'main', commit: commitId(head.id) }],
      tags: state.tags
        .filter(({ id }) => ids.has(id))
        .map(({ name, id }) => ({ name, commit: commitId(id) })),
    };
  }

  async resolve(model: string, revision: string): Promise<ServedCommit | undefined> {
    const state = await this.#state.get();
    const history = historyOf(state, model);
    if (isMain(revision)) return history[0] && commitOf(history[0]);
    const tagName = revision.replace(/^refs\/tags\//, '');
    const tag = state.tags.find(({ name }) => name === tagName);
    const found = (tag && history.find(({ id }) => id === tag.id)) ?? findByDigits(history, revision);
    return found && commitOf(found);
  }

  async history(model: string, commit: CommitId): Promise<ServedCommit[]> {
    const history = historyOf(await this.#state.get(), model);
    const start = history.findIndex(({ id }) => commitId(id) === commit);
    if (start === -1) return [];
    const reached = new Set<VersionId>([history[start]!.id]);
    const found: ServedCommit[] = [];
    for (const entry of history.slice(start)) {
      if (!reached.has(entry.id)) continue;
      for (const parent of entry.parents) reached.add(parent);
      found.push(commitOf(entry));
    }
    return found;
  }

  open(model: string, commit: CommitId): Promise<ServedVersion> {
    const key = `${model}\n${commit}`;
    return this.#opened.get(key, () => this.#open(model, commit, key));
  }

  async close(): Promise<void> {
    await this.#opened.close();
    await this.#options.backend.close();
  }

  async #open(model: string, commit: CommitId, key: string): Promise<OpenedVersion> {
    const { backend, basePath } = this.#options;
    const reader = new StoreReader(backend);
    const version = await reader.resolve(commit);
    const { manifest } = version;
    const sources = await whileStored(reader, version, () => openVersion(reader, version, { basePath }));
    const shared = new Shared(() => sources.close());
    try {
      const { archive, place } = sources;
      const plan = planDecoding(this.#options, archive);
      const readSideFile = (i: number) =>
        shared.use(() => archive.readBlob(archive.index.sideFiles[i]!.content!));
      const digests = new Map(
        manifest.files.flatMap(({ path, digest }) => (digest === undefined ? [] : [[path, digest] as const])),
      );
      // The history may not have it yet: what a revision stood for a moment ago is still served.
      const entry = (await this.#state.get()).byId.get(version.id);
      const served: ServedVersion = {
        model,
        commit: commitOf(entry ?? summaryEntry(version.id, manifest)),
        files: await servedFiles({ archive, selection: plan.selection, digests, readSideFile }),
        tensors: servedTensors(archive),
        sources: {
          kind: 'store',
          key: `${key}\n${++this.#openCount}`,
          place,
          blockElements: plan.blockElements,
        },
        weight: plan.weight,
        readSideFile,
        reopen: (work) => this.#opened.retry(key, served, () => this.#open(model, commit, key), work),
      };
      return { version: served, close: () => shared.end() };
    } catch (error) {
      await shared.end();
      throw error;
    }
  }
}

async function readState(backend: StoreBackend, before: State | undefined): Promise<State> {
  const [models, tags, changedMs] = await Promise.all([
    listRefs(backend, 'model'),
    listRefs(backend, 'tag'),
    // Versions are also removed, which no ref tells.
    backend.changedMs?.('versions'),
  ]);
  const signature = JSON.stringify([models, tags, changedMs]);
  if (before?.signature === signature) return before;
  const entries = await logVersions(new StoreReader(backend), {});
  const byId = new Map(entries.map((entry) => [entry.id, entry]));
  return { signature, models, tags, entries, byId, histories: new Map() };
}

/** What a model's newest version descends from, itself first; empty for no model. */
function historyOf(state: State, model: string): readonly LogEntry[] {
  const known = state.histories.get(model);
  if (known !== undefined) return known;
  const ref = state.models.find(({ name }) => name === model);
  if (ref === undefined) return [];
  const reached = new Set<VersionId>([ref.id]);
  const history: LogEntry[] = [];
  for (const entry of state.entries) {
    if (!reached.has(entry.id)) continue;
    for (const parent of entry.parents) reached.add(parent);
    history.push(entry);
  }
  state.histories.set(model, history);
  return history;
}

/** The one whose id begins so; undefined for none, or several. */
function findByDigits(history: readonly LogEntry[], digits: string): LogEntry | undefined {
  const found = history.filter(({ id }) => beginsWith(hexOf(id), digits));
  return found.length === 1 ? found[0] : undefined;
}

function commitId(id: VersionId): CommitId {
  return hexOf(id).slice(0, COMMIT_DIGITS);
}

function summaryEntry(id: VersionId, summary: Omit<VersionSummary, 'id' | 'tensorCount'>): LogEntry {
  return { ...summary, id, tensorCount: 0, names: [] };
}

function commitOf(entry: LogEntry): ServedCommit {
  const { message, createdAt, model, names, base, reference } = entry;
  return {
    id: commitId(entry.id),
    title: message.split('\n', 1)[0]!,
    message,
    createdAt,
    parents: entry.parents.map(commitId),
    model,
    names,
    base: base?.name,
    reference: reference?.kind === 'version' ? commitId(reference.id) : reference?.kind,
    fineTunedByteLength: entry.fineTunedByteLength,
    storedByteLength: entry.addedByteLength,
    relativeError: entry.relativeError,
  };
}

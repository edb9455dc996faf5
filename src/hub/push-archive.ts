/** The archive that a push uploads: encoded, exported or as given, with its base pinned to a commit of the Hub. */
import { join } from 'node:path';
import type { ArchiveIndex } from '../../formats/ere/archive-index.js';
import { HubError } from '../../formats/errors.js';
import type { EncodeOptions, InspectReport } from '../residual/api.js';
import { encode } from '../residual/encode.js';
import { inspect } from '../residual/inspect.js';
import { openStore } from '../store/open-store.js';
import type { PushOptions } from './api.js';
import { fetchBase } from './base-snapshot.js';
import { compareWithHub } from './compare-base.js';
import { repinArchive } from './repin-archive.js';
import { isCommitHash, isRepoName, parseRepoRevision, type RepoRevision } from './repo-name.js';
import type { HubAccess } from './request.js';
import { type PinnedRepo, pinRepo } from './snapshot.js';

export interface PreparedArchive {
  readonly path: string;
  readonly inspected: InspectReport;
  readonly base: PinnedRepo;
  readonly warnings: readonly string[];
}

/**
 * @param subject path of an archive or a checkpoint, or with `options.store` a ref
 * @param folder for files that are needed while the push runs
 * @throws TypeError for a checkpoint without a base; HubError for a base that is none of the Hub's; as encode and Store.export
 */
export async function prepareArchive(
  access: HubAccess,
  subject: string,
  folder: string,
  options: PushOptions,
): Promise<PreparedArchive> {
  const output = options.output ?? join(folder, 'model.ere');
  const isArchive = subject.endsWith('.ere');
  if (options.store === undefined && !isArchive) return encodeAgainstHub(access, subject, output, options);
  const archive = options.store === undefined ? subject : join(folder, 'exported.ere');
  if (options.store !== undefined) await exportVersion(options.store, subject, archive, options);
  return pinArchive(access, archive, output, options);
}

async function encodeAgainstHub(
  access: HubAccess,
  fineTuned: string,
  output: string,
  options: PushOptions,
): Promise<PreparedArchive> {
  if (options.base === undefined) {
    throw new TypeError(`expected a base as org/model or org/model@revision with a checkpoint, got none`);
  }
  const base = await pinRepo(access, parseRepoRevision(options.base));
  const basePath = options.basePath ?? (await fetchBase(access, base, undefined, options.onProgress)).folder;
  const report = await encode(fineTuned, {
    ...encodeChoices(options),
    base: basePath,
    baseName: base.repo,
    baseRevision: base.commit,
    output,
  });
  const inspected = await inspect(output);
  const warnings = [...report.warnings];
  if (options.basePath !== undefined) {
    warnings.push(...(await compareWithHub(access, base, inspected.index, options)));
  }
  return { path: output, inspected, base, warnings };
}

async function exportVersion(
  location: string,
  ref: string,
  output: string,
  { signal, threads, memoryCap, kernels, basePath }: PushOptions,
): Promise<void> {
  const store = await openStore(location);
  try {
    await store.export(ref, {
      output,
      ...(signal === undefined ? {} : { signal }),
      ...(threads === undefined ? {} : { threads }),
      ...(memoryCap === undefined ? {} : { memoryCap }),
      ...(kernels === undefined ? {} : { kernels }),
      ...(basePath === undefined ? {} : { basePath }),
    });
  } finally {
    await store.close();
  }
}

async function pinArchive(
  access: HubAccess,
  archive: string,
  output: string,
  options: PushOptions,
): Promise<PreparedArchive> {
  const inspected = await inspect(archive);
  const { base: recorded } = inspected.index;
  const base = await pinRepo(access, baseDesignation(recorded, archive, options));
  const warnings = await compareWithHub(access, base, inspected.index, options);
  if (recorded.name === base.repo && recorded.revision === base.commit && options.output === undefined)
    return { path: archive, inspected, base, warnings };
  const inputs = { overwrite: options.overwrite ?? false, inputs: [archive], signal: options.signal };
  await repinArchive(archive, { name: base.repo, revision: base.commit }, output, inputs);
  return { path: output, inspected: await inspect(output), base, warnings };
}

function baseDesignation(
  recorded: ArchiveIndex['base'],
  archive: string,
  { base }: PushOptions,
): RepoRevision {
  if (base !== undefined) return parseRepoRevision(base);
  const { name, revision } = recorded;
  if (isRepoName(name) && revision !== undefined && isCommitHash(revision)) return { repo: name, revision };
  throw new HubError(
    `${archive}: calls its base ${JSON.stringify(name)}${revision === undefined ? '' : ` at ${JSON.stringify(revision)}`}, ` +
      'which is no commit of the Hub; name it with --base org/model@revision',
  );
}

function encodeChoices(options: PushOptions): Omit<EncodeOptions, 'base' | 'output'> {
  const {
    token: _token,
    hubUrl: _hubUrl,
    fetch: _fetch,
    environment: _environment,
    retries: _retries,
    to: _to,
    base: _base,
    basePath: _basePath,
    store: _store,
    output: _output,
    pathInRepo: _pathInRepo,
    sideFiles: _sideFiles,
    card: _card,
    branch: _branch,
    pullRequest: _pullRequest,
    private: _private,
    message: _message,
    dryRun: _dryRun,
    ...choices
  } = options;
  return choices;
}

/** Doubles of the store for CLI tests: a Store whose operations return or throw what a test says, and its reports. */
import type { CliContext, Operations } from '../../cli/context.js';
import type { CommitReport, LogEntry, ShowReport, Store, StoreDiffReport } from '../../src/store/api.js';
import { type RunResult, runWith } from './doubles.js';

/** 'sha256:…' of a version whose first digits are those of `number`. */
export function versionId(number: number): `sha256:${string}` {
  return `sha256:${number.toString(16).padStart(4, '0')}${'5e'.repeat(30)}`;
}

export interface StoreRun extends RunResult {
  /** Locations that were opened, in order. */
  readonly opened: readonly string[];
  readonly closed: number;
}

/** Runs `ere` with a store in the working folder whose operations throw unless the test gives them. */
export async function runWithStore(
  argv: readonly string[],
  operations: Partial<Store> = {},
  fields: Partial<CliContext> = {},
  others: Partial<Operations> = {},
): Promise<StoreRun> {
  const opened: string[] = [];
  let closed = 0;
  const result = await runWith(
    argv,
    {
      findStore: async () => '/work/.ere-store',
      openStore: async (location) => {
        opened.push(location);
        return fakeStore(location, operations, () => {
          closed += 1;
        });
      },
      pathExists: async () => false,
      ...others,
    },
    fields,
  );
  return { ...result, opened, closed };
}

/** A store of which only `operations` work. */
export function fakeStore(location: string, operations: Partial<Store>, onClose = () => {}): Store {
  const missing = () => {
    throw new Error('the test expected this operation of the store not to be called');
  };
  return {
    location,
    addBase: missing,
    bases: missing,
    commit: missing,
    log: missing,
    show: missing,
    diff: missing,
    checkout: missing,
    refs: missing,
    writeInventory: missing,
    tag: missing,
    branch: missing,
    remove: missing,
    gc: missing,
    fsck: missing,
    stats: missing,
    export: missing,
    import: missing,
    put: missing,
    get: missing,
    close: async () => onClose(),
    ...operations,
  };
}

export function logEntry(fields: Partial<LogEntry> = {}): LogEntry {
  return {
    id: versionId(0x3f2a),
    kind: 'version',
    model: 'chat',
    message: 'step 100',
    createdAt: '2026-11-22T02:10:33.104Z',
    parents: [versionId(0x81b0)],
    base: { name: 'llama', id: versionId(0xba5e) },
    reference: { kind: 'version', id: versionId(0x81b0) },
    digest: `sha256:${'d'.repeat(64)}`,
    tensorCount: 57,
    fineTunedByteLength: 9_909_200,
    addedByteLength: 284_000,
    relativeError: 0,
    decodeCost: 1.25,
    names: ['chat'],
    ...fields,
  };
}

export function commitReport(fields: Partial<CommitReport> = {}): CommitReport {
  const { names: _, ...version } = logEntry();
  return {
    version,
    addedByteLength: 284_000,
    ratio: 284_000 / 9_909_200,
    sharedTensorCount: 12,
    candidates: [
      { reference: 'base llama', expectedRatio: 0.041, decodeCost: 1, isWithinLimit: true },
      { reference: versionId(0x81b0), expectedRatio: 0.028, decodeCost: 1.25, isWithinLimit: true },
      { reference: versionId(0x9c1d), expectedRatio: 0.026, decodeCost: 2.5, isWithinLimit: false },
    ],
    warnings: [],
    durationMs: 4210,
    ...fields,
  };
}

export function showReport(fields: Partial<ShowReport> = {}): ShowReport {
  const tensor = {
    name: 'model.layers.0.mlp.up_proj.weight',
    dtype: 'BF16',
    shape: [704, 256],
    digest: versionId(1),
    isBase: false,
    depth: 2,
    byteLength: 9000,
    codecs: ['interval'],
    relativeError: 0,
  } as const;
  return {
    version: logEntry({ message: 'step 100\n\nlr 2e-5, seed 7\n2 epochs', names: ['chat', 'v1.0'] }),
    encoding: { lossless: true },
    tensors: [
      tensor,
      { ...tensor, name: 'model.layers.1.mlp.up_proj.weight', depth: 1, byteLength: 11_000 },
      {
        ...tensor,
        name: 'model.norm.weight',
        shape: [256],
        isBase: true,
        depth: 0,
        byteLength: 0,
        codecs: [],
      },
    ],
    sideFiles: [{ path: 'config.json', byteLength: 565, digest: versionId(2) }],
    ...fields,
  };
}

export function storeDiffReport(fields: Partial<StoreDiffReport> = {}): StoreDiffReport {
  const { names: _, ...from } = logEntry({ id: versionId(0x81b0) });
  const { names: __, ...to } = logEntry();
  const spectrum = { energyTop1: 0.1, energyTop8: 0.3, effectiveRank: 186.2 };
  return {
    from,
    to,
    changed: [
      { name: 'model.layers.0.mlp.up_proj.weight', relativeChange: 0.0117, ...spectrum },
      { name: 'model.layers.1.mlp.up_proj.weight', relativeChange: 0.0225, ...spectrum, effectiveRank: 9.5 },
      { name: 'model.norm.weight', relativeChange: 0.00133 },
      { name: 'token.counts', relativeChange: undefined },
    ],
    unchangedCount: 53,
    added: ['adapter.weight'],
    removed: [],
    sideFiles: [
      {
        path: 'config.json',
        status: 'changed',
        text: '--- config.json\n+++ config.json\n@@ -1,1 +1,1 @@\n-{"rope": 1}\n+{"rope": 2}\n',
      },
      { path: 'merges.txt', status: 'removed' },
    ],
    ...fields,
  };
}

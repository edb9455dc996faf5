/** What a command needs from outside; tests replace any of it. */
import type { ExportLoraOptions, ExportLoraReport } from '../src/export/peft.js';
import type { PullOptions, PullReport, PushOptions, PushReport } from '../src/hub/api.js';
import type {
  DecodeOptions,
  DecodeReport,
  EncodeEstimate,
  EncodeOptions,
  EncodeReport,
  InspectReport,
  TruncateOptions,
  TruncateReport,
  VerifyOptions,
  VerifyReport,
} from '../src/residual/api.js';
import type { DiffOptions, DiffReport } from '../src/residual/diff-report.js';
import type { ServeOptions, Serving } from '../src/serve/api.js';
import type { Store } from '../src/store/api.js';

/** The library's operations that commands call. */
export interface Operations {
  encode(fineTuned: string, options: EncodeOptions): Promise<EncodeReport>;
  estimateEncode(fineTuned: string, options: EncodeOptions): Promise<EncodeEstimate>;
  decode(archive: string, options: DecodeOptions): Promise<DecodeReport>;
  verify(archive: string, options: VerifyOptions): Promise<VerifyReport>;
  diff(fineTuned: string, options: DiffOptions): Promise<DiffReport>;
  inspect(archive: string): Promise<InspectReport>;
  exportLora(archive: string, options: ExportLoraOptions): Promise<ExportLoraReport>;
  truncate(archive: string, options: TruncateOptions): Promise<TruncateReport>;
  push(subject: string, options: PushOptions): Promise<PushReport>;
  pull(repo: string, options: PullOptions): Promise<PullReport>;
  serve(options: ServeOptions): Promise<Serving>;
  /** Tokens of a file, else of the environment. */
  readServeTokens(file: string | undefined, environment: CliContext['environment']): Promise<string[]>;
  /** Folder of the Hub's local cache. */
  hubCacheFolder(environment: CliContext['environment']): Promise<string>;
  initStore(location: string): Promise<Store>;
  openStore(location: string): Promise<Store>;
  /** Location of the store that the working folder is in; undefined outside of one. */
  findStore(): Promise<string | undefined>;
  /** Whether there is anything at a path. */
  pathExists(path: string): Promise<boolean>;
}

/** The part of a Node stream that the CLI uses. */
export interface OutputStream {
  write(text: string, done: (error?: Error | null) => void): boolean;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface CliContext {
  /** Results, and nothing else. */
  readonly stdout: OutputStream;
  /** Progress, warnings and errors. */
  readonly stderr: OutputStream;
  readonly signal: AbortSignal;
  /** Environment variables: ERE_STORE, and those of the Hub. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  loadOperations(): Promise<Operations>;
}

/** The library's operations, each imported when it is called: a command loads nothing of another one's. */
export async function loadOperations(): Promise<Operations> {
  return {
    encode: async (...args) => (await import('../src/residual/encode.js')).encode(...args),
    estimateEncode: async (...args) => (await import('../src/residual/encode.js')).estimateEncode(...args),
    decode: async (...args) => (await import('../src/residual/decode.js')).decode(...args),
    verify: async (...args) => (await import('../src/residual/verify.js')).verify(...args),
    diff: async (...args) => (await import('../src/residual/diff.js')).diff(...args),
    inspect: async (...args) => (await import('../src/residual/inspect.js')).inspect(...args),
    exportLora: async (...args) => (await import('../src/export/peft.js')).exportLora(...args),
    truncate: async (...args) => (await import('../src/residual/truncate.js')).truncate(...args),
    push: async (...args) => (await import('../src/hub/push.js')).push(...args),
    pull: async (...args) => (await import('../src/hub/pull.js')).pull(...args),
    serve: async (...args) => (await import('../src/serve/serve.js')).serve(...args),
    readServeTokens: async (...args) =>
      (await import('../src/serve/read-tokens.js')).readServeTokens(...args),
    hubCacheFolder: async (environment) =>
      (await import('../src/hub/settings.js')).hubCacheFolder(environment),
    initStore: async (...args) => (await import('../src/store/open-store.js')).initStore(...args),
    openStore: async (...args) => (await import('../src/store/open-store.js')).openStore(...args),
    findStore: async () => (await import('../src/store/find-store.js')).findStore('.'),
    pathExists: async (...args) => (await import('../src/store/find-store.js')).pathExists(...args),
  };
}

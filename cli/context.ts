/** What a command needs from outside; tests replace any of it. */
import type { ExportLoraOptions, ExportLoraReport } from '../src/export/peft.js';
import type {
  DecodeOptions,
  DecodeReport,
  DiffOptions,
  DiffReport,
  EncodeOptions,
  EncodeReport,
  InspectReport,
  TruncateOptions,
  TruncateReport,
  VerifyOptions,
  VerifyReport,
} from '../src/residual/api.js';

/** The library's operations that commands call. */
export interface Operations {
  encode(fineTuned: string, options: EncodeOptions): Promise<EncodeReport>;
  decode(archive: string, options: DecodeOptions): Promise<DecodeReport>;
  verify(archive: string, options: VerifyOptions): Promise<VerifyReport>;
  diff(fineTuned: string, options: DiffOptions): Promise<DiffReport>;
  inspect(archive: string): Promise<InspectReport>;
  exportLora(archive: string, options: ExportLoraOptions): Promise<ExportLoraReport>;
  truncate(archive: string, options: TruncateOptions): Promise<TruncateReport>;
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
  loadOperations(): Promise<Operations>;
}

/** The library itself, imported only when a command runs, so that `ere --help` starts at once. */
export async function loadOperations(): Promise<Operations> {
  return await import('../src/index.js');
}

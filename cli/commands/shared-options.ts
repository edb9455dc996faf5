/** Options that several commands take, and what they turn into. */
import { type Command, Option } from 'commander';
import { DEVICES } from '../../src/linalg/devices.js';
import type { CommonOptions } from '../../src/residual/api.js';
import type { CliContext } from '../context.js';
import { createProgressLine } from '../output/progress.js';
import { parseCount, parseMemory } from '../values.js';

export interface RunFlags {
  readonly threads?: number;
  /** Of `addMemoryOption`. */
  readonly memory?: number;
  readonly kernels?: NonNullable<CommonOptions['kernels']>;
  readonly quiet?: boolean;
  readonly json?: boolean;
}

/** --threads, --kernels, --json and --quiet. */
export function addRunOptions(command: Command): Command {
  command
    .addOption(
      new Option(
        '--threads <n>',
        'worker threads (default: one a core); the result does not depend on it',
      ).argParser(parseCount),
    )
    .addOption(
      new Option(
        '--kernels <kind>',
        'implementation of the kernels (default: wasm); both give the same bytes',
      ).choices(['wasm', 'scalar']),
    );
  return addReportOptions(command);
}

/** --json and --quiet. */
export function addReportOptions(command: Command): Command {
  return command
    .option('--json', 'print the result as one JSON document, and an error as one JSON object')
    .option('--quiet', 'no progress, and no more than one line of result');
}

/** --memory, of the commands that hold a cap of at least so many bytes; before `addRunOptions`. */
export function addMemoryOption(command: Command, least?: number): Command {
  return command.addOption(
    new Option(
      '--memory <size>',
      'most resident memory, such as 2GiB (default: half of what is free); the result does not depend on it',
    ).argParser((text) => parseMemory(text, least)),
  );
}

/** --device, of the commands with large matrix products; before `addRunOptions`. */
export function addDeviceOption(command: Command): Command {
  return command.addOption(
    new Option(
      '--device <name>',
      'where large matrix products run (default: cpu); what is not there is said, and the CPU taken',
    ).choices(DEVICES),
  );
}

/** Runs an operation with the options of `addRunOptions`, showing its progress while it lasts. */
export async function withProgress<Report>(
  { stderr, signal }: CliContext,
  flags: RunFlags,
  operation: (common: CommonOptions) => Promise<Report>,
): Promise<Report> {
  const line = createProgressLine(stderr, flags.quiet === true || flags.json === true);
  try {
    return await operation(
      withoutUndefined<CommonOptions>({
        threads: flags.threads,
        memoryCap: flags.memory,
        kernels: flags.kernels,
        signal,
        onProgress: line.onProgress,
      }),
    );
  } finally {
    line.clear();
  }
}

/** The same object less its undefined fields, which options take as "not given". */
export function withoutUndefined<T extends object>(fields: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

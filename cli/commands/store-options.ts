/** What the commands of the store have in common: which store, and what is said while they work on it. */
import { type Command, InvalidArgumentError } from 'commander';
import { NotFoundError } from '../../formats/errors.js';
import type { CommonOptions } from '../../src/residual/api.js';
import type { RefEntry, Store, StoreOptions } from '../../src/store/api.js';
import { assertName } from '../../src/store/layout.js';
import type { CliContext, Operations } from '../context.js';
import { StoreInterruptedError } from '../output/error.js';
import { createEventReporter, type EventReporter } from '../output/store-events.js';
import { writeText } from '../output/write.js';
import { type RunFlags, withoutUndefined } from './shared-options.js';

export interface StoreFlags extends RunFlags {
  readonly store?: string;
}

/** Options of every operation, and those of the ones that code, which others leave unread. */
export type StoreRunOptions = StoreOptions & Pick<CommonOptions, 'threads' | 'memoryCap' | 'kernels'>;

/** --store; before --json and --quiet. */
export function addStoreOption(command: Command): Command {
  return command.option(
    '--store <location>',
    'store to work on (default: $ERE_STORE, else the nearest .ere-store in this folder or one above)',
  );
}

/** --base-path. */
export function addBasePathOption(command: Command): Command {
  return command.option('--base-path <path>', 'where the base is, if not where it was registered');
}

/** A parser of names that are to be given: what is no name of its kind is a usage error. */
export function parseNameOf(kind: RefEntry['kind']): (text: string) => string {
  return (text) => {
    try {
      assertName(kind, text);
    } catch (error) {
      throw toUsageError(error);
    }
    return text;
  };
}

/** Runs what takes a location of the user's: one that is none is a usage error. */
export async function asUsage<Result>(operation: () => Promise<Result>): Promise<Result> {
  try {
    return await operation();
  } catch (error) {
    throw toUsageError(error);
  }
}

function toUsageError(error: unknown): unknown {
  if (!(error instanceof RangeError)) return error;
  return new InvalidArgumentError(error.message.replace(/^e/, 'E'));
}

/** Runs an operation on the store that the command line names, and closes it. */
export async function withStore<Report>(
  context: CliContext,
  flags: StoreFlags,
  operation: (store: Store, options: StoreRunOptions, reporter: EventReporter) => Promise<Report>,
): Promise<Report> {
  const reporter = createEventReporter(context.stderr, flags);
  const { signal } = context;
  const { onEvent } = reporter;
  try {
    const operations = await context.loadOperations();
    const location = await storeLocation(context, flags, operations);
    const store = await asUsage(() => operations.openStore(location));
    try {
      const { threads, memory: memoryCap, kernels } = flags;
      const options = withoutUndefined<StoreRunOptions>({ signal, onEvent, threads, memoryCap, kernels });
      return await operation(store, options, reporter);
    } finally {
      await store.close();
    }
  } catch (error) {
    throw signal.aborted ? new StoreInterruptedError(error) : error;
  } finally {
    reporter.clear();
  }
}

/** The store that flags or environment name; undefined where they name none. An empty variable is none. */
export function namedStore({ environment }: CliContext, flags: StoreFlags): string | undefined {
  return flags.store ?? (environment.ERE_STORE || undefined);
}

/** Says on stderr that a list has nothing in it, so that an empty stdout is no riddle. */
export async function sayEmpty(context: CliContext, flags: StoreFlags, text: string): Promise<void> {
  if (!flags.quiet) await writeText(context.stderr, `${text}\n`);
}

/** @throws NotFoundError outside of any store */
export async function storeLocation(
  context: CliContext,
  flags: StoreFlags,
  { findStore }: Operations,
): Promise<string> {
  const location = namedStore(context, flags) ?? (await findStore());
  if (location !== undefined) return location;
  throw new NotFoundError(
    'no store here: expected .ere-store in this folder or one above; make one with `ere init`, or name one with ' +
      '--store or $ERE_STORE',
  );
}

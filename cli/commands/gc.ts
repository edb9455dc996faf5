/** `ere gc`: frees what no version needs, and shortens chains that are too long. */
import type { Command } from 'commander';
import type { GcOptions } from '../../src/store/api.js';
import type { CliContext } from '../context.js';
import { gcReportText } from '../output/upkeep.js';
import { jsonText, writeText } from '../output/write.js';
import { parseCost, parseDuration } from '../values.js';
import { addMemoryOption, addRunOptions, withoutUndefined } from './shared-options.js';
import { addStoreOption, type StoreFlags, withStore } from './store-options.js';

interface GcFlags extends StoreFlags {
  readonly dryRun?: boolean;
  readonly grace?: number;
  readonly maxDecodeCost?: number;
}

/** Adds `ere gc`. */
export function addGcCommand(program: Command, context: CliContext): void {
  const command = program
    .command('gc')
    .summary('free what no version needs')
    .description(
      'Removes objects that no version needs, and codes anew what takes too long to read. Other processes may read ' +
        'and commit meanwhile: what they have just written is young, and stays.',
    )
    .option('--dry-run', 'only say what would be done')
    .option('--grace <time>', 'keep what is younger than this: 90min, 2d (default: 1h)', parseDuration)
    .option(
      '--max-decode-cost <n>',
      'code anew what costs more to read, relative to a version coded against the base (default: 2)',
      parseCost,
    );
  addRunOptions(addMemoryOption(addStoreOption(command)))
    .addHelpText('after', '\nExamples:\n  $ ere gc --dry-run\n  $ ere gc --grace 1d')
    .action(async (flags: GcFlags) => {
      const { dryRun, grace: graceMs, maxDecodeCost } = flags;
      const report = await withStore(context, flags, (store, options) =>
        store.gc(withoutUndefined<GcOptions>({ ...options, dryRun, graceMs, maxDecodeCost })),
      );
      if (flags.json) await writeText(context.stdout, jsonText(report));
      else if (!flags.quiet) await writeText(context.stdout, gcReportText(report, dryRun === true));
    });
}

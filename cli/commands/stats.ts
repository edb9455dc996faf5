/** `ere stats`: bytes stored against bytes represented. */
import type { Command } from 'commander';
import type { CliContext } from '../context.js';
import { statsReportText } from '../output/upkeep.js';
import { jsonText, writeText } from '../output/write.js';
import { addReportOptions } from './shared-options.js';
import { addStoreOption, type StoreFlags, withStore } from './store-options.js';

/** Adds `ere stats`. */
export function addStatsCommand(program: Command, context: CliContext): void {
  const command = program
    .command('stats')
    .summary('show what the store holds and what it takes')
    .description('Shows how many versions, models and tensors there are, and the bytes they take.');
  addReportOptions(addStoreOption(command))
    .addHelpText('after', '\nExamples:\n  $ ere stats\n  $ ere stats --json | jq .ratio')
    .action(async (flags: StoreFlags) => {
      const { location, stats } = await withStore(context, flags, async (store, options) => ({
        location: store.location,
        stats: await store.stats(options),
      }));
      await writeText(context.stdout, flags.json ? jsonText(stats) : statsReportText(location, stats));
    });
}

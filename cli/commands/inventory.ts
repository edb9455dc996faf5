/** `ere inventory`: lists what a store holds, so that others can read it over plain HTTP. */
import type { Command } from 'commander';
import type { CliContext } from '../context.js';
import { jsonText, writeText } from '../output/write.js';
import { addReportOptions } from './shared-options.js';
import { addStoreOption, type StoreFlags, withStore } from './store-options.js';

/** Adds `ere inventory`. */
export function addInventoryCommand(program: Command, context: CliContext): void {
  const command = program
    .command('inventory')
    .summary('prepare the store for reading over HTTP')
    .description(
      'Writes the list of what the store holds, which a web server cannot give: whoever reads the store over plain HTTP ' +
        'needs it. To be done after every change that they are to see.',
    );
  addReportOptions(addStoreOption(command))
    .addHelpText(
      'after',
      '\nExample:\n  $ ere inventory --store models.ere-store\n  $ ere log --store https://example.org/models.ere-store',
    )
    .action(async (flags: StoreFlags) => {
      const report = await withStore(context, flags, (store, options) => store.writeInventory(options));
      const { valueCount } = report;
      if (flags.json) await writeText(context.stdout, jsonText(report));
      else if (!flags.quiet) await writeText(context.stdout, `Listed ${valueCount} values.\n`);
    });
}

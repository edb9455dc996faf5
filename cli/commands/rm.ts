/** `ere rm`: removes a model, a tag or a version. */
import type { Command } from 'commander';
import type { CliContext } from '../context.js';
import { removedText } from '../output/upkeep.js';
import { jsonText, writeText } from '../output/write.js';
import { addReportOptions } from './shared-options.js';
import { addStoreOption, type StoreFlags, withStore } from './store-options.js';

/** Adds `ere rm REF`. */
export function addRmCommand(program: Command, context: CliContext): void {
  const command = program
    .command('rm')
    .summary('remove a model, a tag or a version')
    .description(
      'Removes a model or a tag by its name, or a version by its id. What other versions need stays until they are ' +
        'gone; `ere gc` frees the rest.',
    )
    .argument('<ref>', 'model, tag or version');
  addReportOptions(addStoreOption(command))
    .addHelpText('after', '\nExamples:\n  $ ere rm v0.9\n  $ ere rm 3f2a91c4')
    .action(async (ref: string, flags: StoreFlags) => {
      const report = await withStore(context, flags, (store, options) => store.remove(ref, options));
      if (flags.json) await writeText(context.stdout, jsonText(report));
      else if (!flags.quiet) await writeText(context.stdout, removedText(report.removed));
    });
}

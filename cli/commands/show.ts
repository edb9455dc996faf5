/** `ere show`: all that is known of one version. */
import type { Command } from 'commander';
import type { CliContext } from '../context.js';
import { showReportText } from '../output/show.js';
import { jsonText, writeText } from '../output/write.js';
import { addReportOptions } from './shared-options.js';
import { addStoreOption, type StoreFlags, withStore } from './store-options.js';

interface ShowFlags extends StoreFlags {
  readonly all?: boolean;
}

/** Adds `ere show REF`. */
export function addShowCommand(program: Command, context: CliContext): void {
  const command = program
    .command('show')
    .summary('show all that is known of a version')
    .description(
      'Shows where a version comes from, what it is coded against, and what became of every tensor. Needs no base.',
    )
    .argument('<ref>', "model, tag, version, any of them with ~N for its N-th parent, or 'base:NAME'")
    .option('--all', 'list every tensor instead of groups of layers');
  addReportOptions(addStoreOption(command))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ ere show chat\n' +
        '  $ ere show chat~2 --all\n' +
        "  $ ere show 3f2a91c4 --json | jq '.tensors[] | select(.depth > 1) | .name'",
    )
    .action(async (ref: string, flags: ShowFlags) => {
      const report = await withStore(context, flags, (store, options) => store.show(ref, options));
      const text = flags.json ? jsonText(report) : showReportText(report, flags.all === true);
      await writeText(context.stdout, text);
    });
}

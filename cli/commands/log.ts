/** `ere log`: the history of a model, or of all. */
import type { Command } from 'commander';
import type { LogOptions } from '../../src/store/api.js';
import type { CliContext } from '../context.js';
import { logText } from '../output/log.js';
import { jsonText, writeText } from '../output/write.js';
import { parseCount } from '../values.js';
import { addReportOptions, withoutUndefined } from './shared-options.js';
import { addStoreOption, type StoreFlags, sayEmpty, withStore } from './store-options.js';

interface LogFlags extends StoreFlags {
  readonly graph?: boolean;
  readonly limit?: number;
}

/** Adds `ere log [REF]`. */
export function addLogCommand(program: Command, context: CliContext): void {
  const command = program
    .command('log')
    .summary('list versions, the newest first')
    .description(
      'Lists versions, the newest first: what each added to the store, its share of the weights, and the error of ' +
        'lossy ones. On a terminal long messages are cut; `ere show` has them whole.',
    )
    .argument('[ref]', 'model, tag or version to begin at (default: every model)')
    .option('--graph', 'draw which version follows which')
    .option('--limit <n>', 'no more than so many versions', parseCount);
  addReportOptions(addStoreOption(command))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ ere log --graph\n' +
        '  $ ere log chat --limit 10\n' +
        "  $ ere log chat --json | jq -r '.[].id'",
    )
    .action(async (ref: string | undefined, flags: LogFlags) => {
      const entries = await withStore(context, flags, (store, options) =>
        store.log(withoutUndefined<LogOptions>({ ...options, ref, limit: flags.limit })),
      );
      if (flags.json) return await writeText(context.stdout, jsonText(entries));
      if (entries.length === 0)
        return await sayEmpty(context, flags, 'no versions yet: `ere commit` makes one');
      const { isTTY, columns } = context.stdout;
      const layout = { graph: flags.graph === true, columns: isTTY === true ? columns : undefined };
      await writeText(context.stdout, logText(entries, layout));
    });
}

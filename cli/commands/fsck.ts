/** `ere fsck`: checks that everything in a store is there and intact. */
import type { Command } from 'commander';
import { IntegrityError } from '../../formats/errors.js';
import type { FsckOptions } from '../../src/store/api.js';
import type { CliContext } from '../context.js';
import { fsckReportText, fsckSummaryText } from '../output/upkeep.js';
import { jsonText, writeText } from '../output/write.js';
import { addMemoryOption, addRunOptions, withoutUndefined } from './shared-options.js';
import { addStoreOption, type StoreFlags, withStore } from './store-options.js';

interface FsckFlags extends StoreFlags {
  readonly repair?: boolean;
  readonly full?: boolean;
}

/** Adds `ere fsck`. */
export function addFsckCommand(program: Command, context: CliContext): void {
  const command = program
    .command('fsck')
    .summary('check the store')
    .description(
      'Checks that every object has its digest, and that versions have all that they need. Ends with status 6 when ' +
        'something is damaged, after the report of what.',
    )
    .option(
      '--repair',
      'mend what can be mended without loss: caches, leftovers, refs to versions that are gone',
    )
    .option('--full', 'also decode every tensor and compare its digest');
  addRunOptions(addMemoryOption(addStoreOption(command)))
    .addHelpText('after', '\nExamples:\n  $ ere fsck\n  $ ere fsck --repair\n  $ ere fsck --full --json')
    .action(async (flags: FsckFlags) => {
      const { repair, full } = flags;
      const { location, report } = await withStore(context, flags, async (store, options) => ({
        location: store.location,
        report: await store.fsck(withoutUndefined<FsckOptions>({ ...options, repair, full })),
      }));
      if (flags.json) await writeText(context.stdout, jsonText(report));
      else {
        const text = flags.quiet ? fsckSummaryText(report) : fsckReportText(report, { full: full === true });
        await writeText(context.stdout, text);
      }
      if (report.isSound) return;
      const open = report.problems.filter((problem) => !problem.isRepaired).length;
      throw new IntegrityError(
        location,
        'a sound store',
        `${open} unrepaired problem${open === 1 ? '' : 's'}`,
      );
    });
}

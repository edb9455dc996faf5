/** `ere tag`: names for versions that stay. */
import type { Command } from 'commander';
import type { StoreOptions } from '../../src/store/api.js';
import type { CliContext } from '../context.js';
import { listRefs, reportRef } from './list-refs.js';
import { addReportOptions, withoutUndefined } from './shared-options.js';
import { addStoreOption, parseNameOf, type StoreFlags, withStore } from './store-options.js';

interface TagFlags extends StoreFlags {
  readonly force?: boolean;
}

/** Adds `ere tag [NAME REF]`. */
export function addTagCommand(program: Command, context: CliContext): void {
  const command = program
    .command('tag')
    .summary('name a version, or list the tags')
    .description('Points a tag at a version; without arguments, lists the tags. `ere rm` removes one.')
    .argument('[name]', 'name of the tag', parseNameOf('tag'))
    .argument('[ref]', 'model, tag or version')
    .option('--force', 'move a tag that exists');
  addReportOptions(addStoreOption(command))
    .addHelpText('after', '\nExamples:\n  $ ere tag v1.0 chat\n  $ ere tag v1.0 chat~1 --force\n  $ ere tag')
    .action(async (name: string | undefined, ref: string | undefined, flags: TagFlags) => {
      if (name === undefined) return await listRefs(context, flags, 'tag');
      if (ref === undefined) return command.error(`expected the version that tag '${name}' points at`);
      const { force } = flags;
      const entry = await withStore(context, flags, (store, options) =>
        store.tag(name, ref, withoutUndefined<StoreOptions & { force?: boolean }>({ ...options, force })),
      );
      await reportRef(context, flags, entry);
    });
}

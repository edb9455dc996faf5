/** `ere branch`: models that begin at a version of another. */
import type { Command } from 'commander';
import type { CliContext } from '../context.js';
import { listRefs, reportRef } from './list-refs.js';
import { addReportOptions } from './shared-options.js';
import { addStoreOption, parseNameOf, type StoreFlags, withStore } from './store-options.js';

/** Adds `ere branch [NAME REF]`. */
export function addBranchCommand(program: Command, context: CliContext): void {
  const command = program
    .command('branch')
    .summary('begin a model at a version, or list the models')
    .description(
      'Makes a model whose newest version is the one named; without arguments, lists the models. ' +
        '`ere commit --model NAME` goes on from there.',
    )
    .argument('[name]', 'name of the model', parseNameOf('model'))
    .argument('[ref]', 'model, tag or version');
  addReportOptions(addStoreOption(command))
    .addHelpText('after', '\nExamples:\n  $ ere branch chat-long chat~1\n  $ ere branch')
    .action(async (name: string | undefined, ref: string | undefined, flags: StoreFlags) => {
      if (name === undefined) return await listRefs(context, flags, 'model');
      if (ref === undefined) return command.error(`expected the version that model '${name}' begins at`);
      const entry = await withStore(context, flags, (store, options) => store.branch(name, ref, options));
      await reportRef(context, flags, entry);
    });
}

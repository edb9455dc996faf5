/** `ere base add` and `ere base list`: the bases that versions are coded against. */
import type { Command } from 'commander';
import type { AddBaseOptions } from '../../src/store/api.js';
import type { CliContext } from '../context.js';
import { baseTable, baseText } from '../output/bases.js';
import { jsonText, writeText } from '../output/write.js';
import { addMemoryOption, addReportOptions, addRunOptions, withoutUndefined } from './shared-options.js';
import { addStoreOption, parseNameOf, type StoreFlags, sayEmpty, withStore } from './store-options.js';

interface BaseAddFlags extends StoreFlags {
  readonly keep?: boolean;
  readonly revision?: string;
}

/** Adds `ere base add NAME PATH` and `ere base list`. */
export function addBaseCommand(program: Command, context: CliContext): void {
  const command = program
    .command('base')
    .summary('register a base, or list the bases')
    .description(
      'Bases are known by their digests: a store holds nothing of one, unless it is told to keep it. ' +
        'What is committed finds its base by its values.',
    )
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ ere base add llama models/llama\n' +
        '  $ ere base add llama models/llama --keep\n' +
        '  $ ere base list',
    );
  addBaseAdd(command, context);
  addBaseList(command, context);
}

function addBaseAdd(base: Command, context: CliContext): void {
  const command = base
    .command('add')
    .summary('register a base')
    .description(
      'Registers a base by the digests of its tensors. To read versions it must be where it was, or be kept.',
    )
    .argument('<name>', 'name of the base in this store', parseNameOf('base'))
    .argument('<path>', 'a .safetensors file, a model.safetensors.index.json or a model folder')
    .option('--keep', 'store the base too, so that nothing outside of the store is needed')
    .option('--revision <revision>', 'revision of the Hub repository it came from, to record');
  addRunOptions(addMemoryOption(addStoreOption(command)))
    .addHelpText('after', '\nExamples:\n  $ ere base add llama models/llama --keep')
    .action(async (name: string, path: string, flags: BaseAddFlags) => {
      const { keep, revision } = flags;
      const summary = await withStore(context, flags, (store, options) =>
        store.addBase(name, path, withoutUndefined<AddBaseOptions>({ ...options, keep, revision })),
      );
      if (flags.json) await writeText(context.stdout, jsonText(summary));
      else if (!flags.quiet) await writeText(context.stdout, baseText(summary));
    });
}

function addBaseList(base: Command, context: CliContext): void {
  const command = base.command('list').summary('list the bases').description('Lists the bases of the store.');
  addReportOptions(addStoreOption(command))
    .addHelpText('after', "\nExamples:\n  $ ere base list\n  $ ere base list --json | jq -r '.[].name'")
    .action(async (flags: StoreFlags) => {
      const bases = await withStore(context, flags, (store, options) => store.bases(options));
      if (flags.json) return await writeText(context.stdout, jsonText(bases));
      if (bases.length === 0)
        return await sayEmpty(context, flags, 'no bases yet: `ere base add` registers one');
      await writeText(context.stdout, baseTable(bases));
    });
}

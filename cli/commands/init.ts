/** `ere init`: makes an empty store. */
import type { Command } from 'commander';
import { STORE_FOLDER } from '../../src/store/store-folder.js';
import type { CliContext } from '../context.js';
import { storeMadeText } from '../output/upkeep.js';
import { jsonText, writeText } from '../output/write.js';
import { addReportOptions } from './shared-options.js';
import { addStoreOption, asUsage, namedStore, type StoreFlags } from './store-options.js';

/** Adds `ere init [DIR]`. */
export function addInitCommand(program: Command, context: CliContext): void {
  const command = program
    .command('init')
    .summary('make an empty store')
    .description(
      'Makes an empty store of versions: a folder, or an S3 bucket under s3://BUCKET/PREFIX. ' +
        'DIR is the store itself; without one it is $ERE_STORE, or .ere-store in this folder, where the other commands ' +
        'find it from here and from every folder below.',
    )
    .argument('[dir]', 'where to make it');
  addReportOptions(addStoreOption(command))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ ere init\n' +
        '  $ ere init /data/models.ere-store\n' +
        '  $ ere init s3://my-bucket/models',
    )
    .action(async (dir: string | undefined, flags: StoreFlags) => {
      if (dir !== undefined && flags.store !== undefined) {
        command.error(`expected the store once, got '${dir}' and '--store ${flags.store}'`);
      }
      const { initStore } = await context.loadOperations();
      const location = dir ?? namedStore(context, flags) ?? STORE_FOLDER;
      const store = await asUsage(() => initStore(location));
      await store.close();
      if (flags.json) await writeText(context.stdout, jsonText({ location: store.location }));
      else if (!flags.quiet) await writeText(context.stdout, storeMadeText(store.location));
    });
}

/** `ere import`: an archive as a version. */
import { basename } from 'node:path';
import type { Command } from 'commander';
import type { ImportOptions } from '../../src/store/api.js';
import type { CliContext } from '../context.js';
import { commitReportText, commitSummaryText } from '../output/commit.js';
import { jsonText, writeText } from '../output/write.js';
import { addMemoryOption, addRunOptions, withoutUndefined } from './shared-options.js';
import { addStoreOption, parseNameOf, type StoreFlags, withStore } from './store-options.js';

interface ImportFlags extends StoreFlags {
  readonly message?: string;
  readonly model?: string;
  /** False for --no-parent. */
  readonly parent?: string | false;
}

/** Adds `ere import FILE.ere`. */
export function addImportCommand(program: Command, context: CliContext): void {
  const command = program
    .command('import')
    .summary('add an archive as a version')
    .description(
      'Adds an archive of `ere encode` or `ere export` as a version, as it is coded. Its base must be registered.',
    )
    .argument('<archive>', 'archive to read')
    .option('-m, --message <text>', 'what the version is (default: which file it was)')
    .option('--model <name>', 'model that it is the newest version of (default: main)', parseNameOf('model'))
    .option('--parent <ref>', "version that it follows (default: the model's newest)")
    .option('--no-parent', 'it follows none');
  addRunOptions(addMemoryOption(addStoreOption(command)))
    .addHelpText('after', '\nExamples:\n  $ ere import chat-v1.0.ere --model chat -m "from the other store"')
    .action(async (archive: string, flags: ImportFlags) => {
      const { message = `imported from ${basename(archive)}`, model, parent } = flags;
      const report = await withStore(context, flags, async (store, options, reporter) => {
        const report = await store.import(
          archive,
          withoutUndefined<ImportOptions>({
            ...options,
            message,
            model,
            parent: parent === false ? null : parent,
          }),
        );
        report.warnings.forEach(reporter.warn);
        return report;
      });
      if (flags.json) return await writeText(context.stdout, jsonText(report));
      await writeText(context.stdout, flags.quiet ? commitSummaryText(report) : commitReportText(report));
    });
}

/** `ere export`: a version as an archive that needs no store. */
import type { Command } from 'commander';
import type { ExportOptions } from '../../src/store/api.js';
import type { CliContext } from '../context.js';
import { exportReportText } from '../output/transfer.js';
import { jsonText, writeText } from '../output/write.js';
import { addMemoryOption, addRunOptions, withoutUndefined } from './shared-options.js';
import { addBasePathOption, addStoreOption, type StoreFlags, withStore } from './store-options.js';

interface ExportFlags extends StoreFlags {
  readonly output: string;
  readonly overwrite?: boolean;
  readonly basePath?: string;
}

/** Adds `ere export REF -o FILE.ere`. */
export function addExportCommand(program: Command, context: CliContext): void {
  const command = program
    .command('export')
    .summary('write a version as an archive')
    .description(
      'Writes a version as an archive against its base, which `ere decode` reads without the store.',
    )
    .argument('<ref>', 'model, tag or version')
    .requiredOption('-o, --output <file>', 'archive to write');
  addBasePathOption(command).option('--overwrite', 'replace an existing archive');
  addRunOptions(addMemoryOption(addStoreOption(command)))
    .addHelpText('after', '\nExamples:\n  $ ere export v1.0 -o chat-v1.0.ere')
    .action(async (ref: string, flags: ExportFlags) => {
      const { output, overwrite, basePath } = flags;
      const report = await withStore(context, flags, (store, options) =>
        store.export(ref, withoutUndefined<ExportOptions>({ ...options, output, overwrite, basePath })),
      );
      if (flags.json) await writeText(context.stdout, jsonText(report));
      else await writeText(context.stdout, exportReportText(report));
    });
}

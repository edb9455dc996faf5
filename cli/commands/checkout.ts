/** `ere checkout`: a version as the checkpoint that it was. */
import type { Command } from 'commander';
import type { CheckoutOptions } from '../../src/store/api.js';
import type { CliContext } from '../context.js';
import { checkoutReportText, checkoutSummaryText } from '../output/checkout.js';
import { jsonText, writeText } from '../output/write.js';
import { addMemoryOption, addRunOptions, withoutUndefined } from './shared-options.js';
import { addBasePathOption, addStoreOption, type StoreFlags, withStore } from './store-options.js';

interface CheckoutFlags extends StoreFlags {
  readonly output: string;
  readonly overwrite?: boolean;
  readonly basePath?: string;
  readonly sideFiles: boolean;
}

/** Adds `ere checkout REF -o DIR`. */
export function addCheckoutCommand(program: Command, context: CliContext): void {
  const command = program
    .command('checkout')
    .summary('rebuild the checkpoint of a version')
    .description('Rebuilds the checkpoint of a version, and checks every tensor against its digest.')
    .argument('<ref>', 'model, tag or version')
    .requiredOption(
      '-o, --output <path>',
      'folder to create, or a path ending in .safetensors for the weights alone',
    );
  addBasePathOption(command)
    .option('--no-side-files', 'leave out config, tokenizer and other small files')
    .option('--overwrite', 'replace an existing output');
  addRunOptions(addMemoryOption(addStoreOption(command)))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ ere checkout chat -o rebuilt\n' +
        '  $ ere checkout v1.0 -o rebuilt.safetensors --overwrite\n' +
        '  $ ere checkout chat~1 -o before --base-path /models/llama',
    )
    .action(async (ref: string, flags: CheckoutFlags) => {
      const { output, overwrite, basePath, sideFiles } = flags;
      const report = await withStore(context, flags, (store, options) =>
        store.checkout(
          ref,
          withoutUndefined<CheckoutOptions>({ ...options, output, overwrite, basePath, sideFiles }),
        ),
      );
      if (flags.json) return await writeText(context.stdout, jsonText(report));
      await writeText(context.stdout, flags.quiet ? checkoutSummaryText(report) : checkoutReportText(report));
    });
}

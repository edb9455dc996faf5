/** `ere commit`: stores a checkpoint as a version, coded against what costs least. */
import type { Command } from 'commander';
import { MIN_ENCODER_MEMORY_CAP } from '../../src/residual/memory-budget.js';
import type { CommitOptions } from '../../src/store/api.js';
import type { CliContext } from '../context.js';
import { commitReportText, commitSummaryText } from '../output/commit.js';
import { jsonText, writeText } from '../output/write.js';
import { parseCost } from '../values.js';
import { addCodingOptions, type CodingFlags, codingOptions, presetHelp } from './coding-options.js';
import { addMemoryOption, addRunOptions, withoutUndefined } from './shared-options.js';
import {
  addBasePathOption,
  addStoreOption,
  parseNameOf,
  type StoreFlags,
  withStore,
} from './store-options.js';

interface CommitFlags extends StoreFlags, CodingFlags {
  readonly message: string;
  readonly model?: string;
  /** False for --no-parent. */
  readonly parent?: string | false;
  readonly base?: string;
  readonly basePath?: string;
  readonly against?: string;
  readonly maxDecodeCost?: number;
  readonly sideFiles: boolean;
}

/** Adds `ere commit PATH -m MSG`. */
export function addCommitCommand(program: Command, context: CliContext): void {
  const command = program
    .command('commit')
    .summary('store a checkpoint as a version')
    .description(
      'Stores a checkpoint as a version, coded against its base or another version, whichever costs least. ' +
        'Without an option that says how, it is coded like its parent; the first version of a model bit for bit.',
    )
    .argument('<path>', 'a .safetensors file, a model.safetensors.index.json or a model folder')
    .requiredOption('-m, --message <text>', 'what the version is')
    .option('--model <name>', 'model that it is the newest version of (default: main)', parseNameOf('model'))
    .option('--parent <ref>', "version that it follows (default: the model's newest)")
    .option('--no-parent', 'it follows none')
    .option('--base <name>', "registered base (default: the parent's, else found by its values)");
  addBasePathOption(command)
    .option('--against <ref>', "code against this, whatever would cost less: 'base', or a version")
    .option(
      '--max-decode-cost <n>',
      'what reading it may cost, relative to reading a version that is coded against the base (default: 2)',
      parseCost,
    )
    .option('--no-side-files', 'leave out config, tokenizer and other small files');
  addCodingOptions(command, {
    size: 'size of what is added',
    byDefault: '',
    force: 'code against a base that does not seem to belong',
  });
  addRunOptions(addMemoryOption(addStoreOption(command), MIN_ENCODER_MEMORY_CAP))
    .addHelpText('after', presetHelp)
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ ere commit my-finetune -m "first try" --model chat\n' +
        '  $ ere commit my-finetune -m "6 % of its bytes" --model chat --ratio 6%\n' +
        '  $ ere commit run/step-100 -m "step 100" --lossless --parent chat',
    )
    .action(async (path: string, flags: CommitFlags) => {
      const { message, model, parent, base, basePath, against, maxDecodeCost, sideFiles } = flags;
      const coding = codingOptions(flags, command);
      const report = await withStore(context, flags, async (store, options, reporter) => {
        const report = await store.commit(
          path,
          withoutUndefined<CommitOptions>({
            ...options,
            ...coding,
            message,
            model,
            parent: parent === false ? null : parent,
            base,
            basePath,
            against,
            maxDecodeCost,
            sideFiles,
          }),
        );
        report.warnings.forEach(reporter.warn);
        return report;
      });
      if (flags.json) return await writeText(context.stdout, jsonText(report));
      await writeText(context.stdout, flags.quiet ? commitSummaryText(report) : commitReportText(report));
    });
}

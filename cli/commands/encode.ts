/** `ere encode`: options to a budget, the operation, and the report of what was kept. */
import { type Command, Option } from 'commander';
import type { Budget, EncodeOptions } from '../../src/residual/api.js';
import { strategyOf } from '../../src/residual/encode-options.js';
import { MIN_ENCODER_MEMORY_CAP } from '../../src/residual/memory-budget.js';
import { importanceConflict } from '../../src/residual/presets.js';
import type { CliContext } from '../context.js';
import {
  chosenBaseText,
  encodeReportText,
  encodeSummaryText,
  estimateText,
  warningText,
} from '../output/encode.js';
import { jsonText, writeText } from '../output/write.js';
import { addCodingOptions, type CodingFlags, codingOptions, presetHelp } from './coding-options.js';
import {
  addMemoryOption,
  addRunOptions,
  type RunFlags,
  withoutUndefined,
  withProgress,
} from './shared-options.js';

interface EncodeFlags extends RunFlags, CodingFlags {
  readonly output: string;
  readonly orBase?: readonly string[];
  readonly importance?: string;
  readonly baseName?: string;
  readonly baseRevision?: string;
  readonly exactOnTop?: boolean;
  readonly sideFiles: boolean;
  readonly overwrite?: boolean;
  readonly resume?: boolean;
  readonly dryRun?: boolean;
  readonly all?: boolean;
}

/** The paper's operating point: near the quality of the full fine-tune at 6 % of its bytes. */
const DEFAULT_BUDGET: Budget = { kind: 'ratio', ratio: 0.06 };

/** Adds `ere encode BASE FINETUNED -o OUT.ere`. */
export function addEncodeCommand(program: Command, context: CliContext): void {
  const command = program
    .command('encode')
    .summary('store a fine-tuned model as a residual against its base')
    .description(
      'Stores a fine-tuned checkpoint as a compressed residual against its base, and says what was kept.\n' +
        'Both are a .safetensors file, a model.safetensors.index.json, a model folder or one of the local Hugging Face\n' +
        'cache. State at most one budget.',
    )
    .argument('<base>', 'base checkpoint')
    .argument('<finetuned>', 'fine-tuned checkpoint')
    .requiredOption('-o, --output <file>', 'archive to write')
    .addOption(
      new Option(
        '--or-base <path>',
        'another base that it may belong to, any number of times: the one with the nearest weights is taken, and named',
      ).argParser((path: string, others: readonly string[] | undefined) => [...(others ?? []), path]),
    );
  addCodingOptions(command, {
    size: 'archive size',
    byDefault: '(default: 6%)',
    force: 'encode against a base that does not seem to belong',
  });
  command
    .addOption(
      new Option(
        '--importance <file>',
        'safetensors file with one weight an input channel of each matrix',
      ).conflicts('lossless'),
    )
    .addOption(
      new Option(
        '--exact-on-top',
        'add exact terms behind the lossy ones; the budget is that of the lossy part, which decodes by itself',
      ).conflicts('lossless'),
    )
    .option('--base-name <name>', 'name of the base to record (default: last part of its path)')
    .option('--base-revision <revision>', 'revision of the base to record')
    .option('--no-side-files', 'leave out config, tokenizer and other small files')
    .option('--overwrite', 'replace an existing archive, and what an interrupted run left')
    .option('--resume', 'continue an interrupted run from the tensors it has finished, FILE.unfinished')
    .addOption(
      new Option('--dry-run', 'print the expected size and error, and write nothing').conflicts([
        'resume',
        'failAbove',
        'all',
      ]),
    )
    .option('--all', 'list every tensor instead of groups of layers');
  addRunOptions(addMemoryOption(command, MIN_ENCODER_MEMORY_CAP))
    .addHelpText('after', presetHelp)
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ ere encode llama my-finetune -o my-finetune.ere\n' +
        '  $ ere encode llama my-finetune -o my-finetune.ere --size 500MB\n' +
        '  $ ere encode llama my-finetune -o my-finetune.ere --or-base mistral --or-base qwen\n' +
        '  $ ere encode llama my-finetune -o my-finetune.ere --memory 4GiB --dry-run\n' +
        '  $ ere encode base.safetensors tuned.safetensors -o tuned.ere --max-error 0.3 --json',
    )
    .action(async (base: string, fineTuned: string, flags: EncodeFlags) => {
      const options = encodeOptions(base, flags, command);
      const { encode, estimateEncode } = await context.loadOperations();
      if (flags.dryRun === true) {
        const estimate = await withProgress(context, flags, (common) =>
          estimateEncode(fineTuned, { ...common, ...options }),
        );
        if (flags.json) return await writeText(context.stdout, jsonText(estimate));
        await writeText(context.stderr, chosenBaseText(estimate) + warningText(estimate.warnings));
        return await writeText(context.stdout, estimateText(flags.output, estimate));
      }
      const report = await withProgress(context, flags, (common) =>
        encode(fineTuned, { ...common, ...options }),
      );
      if (flags.json) return await writeText(context.stdout, jsonText(report));
      await writeText(context.stderr, chosenBaseText(report) + warningText(report.warnings));
      const text = flags.quiet
        ? encodeSummaryText(flags.output, report)
        : encodeReportText(flags.output, report, flags.all === true);
      await writeText(context.stdout, text);
    });
}

function encodeOptions(base: string, flags: EncodeFlags, command: Command): EncodeOptions {
  const { output, orBase, sideFiles, baseName, baseRevision, overwrite, resume, importance, exactOnTop } =
    flags;
  const options = withoutUndefined<EncodeOptions>({
    base: orBase === undefined ? base : [base, ...orBase],
    output,
    sideFiles,
    baseName,
    baseRevision,
    overwrite,
    resume,
    importance,
    exactOnTop,
    ...codingOptions(flags, command, DEFAULT_BUDGET),
  });
  const unweighed = importance === undefined ? undefined : importanceConflict(strategyOf(options));
  if (unweighed !== undefined) command.error(`option '--importance' is not possible here: ${unweighed}`);
  return options;
}

/** `ere encode`: options to a budget, the operation, and the report of what was kept. */
import { type Command, Option } from 'commander';
import type { Device } from '../../src/linalg/devices.js';
import { EFFORTS, type Effort } from '../../src/rate-distortion/efforts.js';
import type { Allocation, Budget, EncodeOptions } from '../../src/residual/api.js';
import { strategyOf } from '../../src/residual/encode-options.js';
import { MIN_ENCODER_MEMORY_CAP } from '../../src/residual/memory-budget.js';
import { importanceConflict, PRESETS, type PresetName, presetConflict } from '../../src/residual/presets.js';
import type { CliContext } from '../context.js';
import {
  chosenBaseText,
  encodeReportText,
  encodeSummaryText,
  estimateText,
  warningText,
} from '../output/encode.js';
import { jsonText, writeText } from '../output/write.js';
import {
  parseBits,
  parseByteLength,
  parseCount,
  parseRelativeError,
  parseShare,
  parseWeight,
} from '../values.js';
import {
  addDeviceOption,
  addMemoryOption,
  addRunOptions,
  type RunFlags,
  withoutUndefined,
  withProgress,
} from './shared-options.js';

interface EncodeFlags extends RunFlags {
  readonly output: string;
  readonly orBase?: readonly string[];
  readonly ratio?: number;
  readonly size?: number;
  readonly rank?: number;
  readonly energy?: number;
  readonly maxError?: number;
  readonly preset?: PresetName;
  readonly allocation?: Allocation;
  readonly bits?: number | 'auto';
  readonly prior?: number;
  readonly effort?: Effort;
  readonly device?: Device;
  readonly importance?: string;
  readonly failAbove?: number;
  readonly baseName?: string;
  readonly baseRevision?: string;
  readonly lossless?: boolean;
  readonly exactOnTop?: boolean;
  readonly sideFiles: boolean;
  readonly force?: boolean;
  readonly overwrite?: boolean;
  readonly resume?: boolean;
  readonly dryRun?: boolean;
  readonly all?: boolean;
}

/** The paper's operating point: near the quality of the full fine-tune at 6 % of its bytes. */
const DEFAULT_BUDGET: Budget = { kind: 'ratio', ratio: 0.06 };

/** New ones for each program: `conflicts` below changes them. */
function budgetOptions(): Option[] {
  return [
    new Option(
      '--ratio <share>',
      'archive size as a share of the fine-tuned weights, 6% or 0.06 (default: 6%)',
    ).argParser(parseShare),
    new Option('--size <size>', 'archive size: 12MB, 800KiB').argParser(parseByteLength),
    new Option('--rank <n>', 'the same rank for every matrix').argParser(parseCount),
    new Option('--energy <share>', 'share of the squared residual that every matrix keeps').argParser(
      parseShare,
    ),
    new Option('--max-error <error>', 'relative error over all residuals, such as 0.3').argParser(
      parseRelativeError,
    ),
  ];
}

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
  const budgets = budgetOptions();
  for (const option of budgets) {
    const others = budgets.filter((other) => other !== option);
    command.addOption(option.conflicts(others.map((other) => other.attributeName())));
  }
  command
    .addOption(
      new Option('--preset <method>', "a published method, see below, instead of ERE's own choices").choices(
        Object.keys(PRESETS),
      ),
    )
    .addOption(
      new Option(
        '--allocation <strategy>',
        'how bytes are spread over layers (default: rate-distortion)',
      ).choices(['rate-distortion', 'layerwise', 'uniform', 'energy']),
    )
    .addOption(
      new Option('--bits <n>', 'bits per factor entry, 2 to 16, or auto (default: auto)').argParser(
        parseBits,
      ),
    )
    .addOption(
      new Option(
        '--prior <weight>',
        'weight of the uniform allocation in layerwise, 0 to 1 (default: 0)',
      ).argParser(parseWeight),
    )
    .addOption(
      new Option('--effort <level>', 'how hard rate-distortion works (default: default)').choices(
        Object.keys(EFFORTS),
      ),
    )
    .option('--importance <file>', 'safetensors file with one weight an input channel of each matrix')
    .addOption(
      new Option('--lossless', 'code every tensor bit for bit, whatever it takes').conflicts([
        'preset',
        ...budgets.map((option) => option.attributeName()),
        'allocation',
        'bits',
        'prior',
        'effort',
        'importance',
        'exactOnTop',
      ]),
    )
    .option(
      '--exact-on-top',
      'add exact terms behind the lossy ones; the budget is that of the lossy part, which decodes by itself',
    )
    .addOption(
      new Option(
        '--fail-above <error>',
        'write nothing and fail when the relative error over all residuals is above this',
      ).argParser(parseRelativeError),
    )
    .option('--base-name <name>', 'name of the base to record (default: last part of its path)')
    .option('--base-revision <revision>', 'revision of the base to record')
    .option('--no-side-files', 'leave out config, tokenizer and other small files')
    .option('--force', 'encode against a base that does not seem to belong')
    .option('--overwrite', 'replace an existing archive, and what an interrupted run left')
    .option('--resume', 'continue an interrupted run from the tensors it has finished, FILE.unfinished')
    .addOption(
      new Option('--dry-run', 'print the expected size and error, and write nothing').conflicts([
        'lossless',
        'exactOnTop',
        'resume',
        'failAbove',
        'all',
      ]),
    )
    .option('--all', 'list every tensor instead of groups of layers');
  addRunOptions(addMemoryOption(addDeviceOption(command), MIN_ENCODER_MEMORY_CAP))
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

function presetHelp(): string {
  const lines = Object.entries(PRESETS).map(([name, { summary }]) => `  ${name.padEnd(12)}${summary}\n`);
  return `\nPresets:\n${lines.join('')}`;
}

function encodeOptions(base: string, flags: EncodeFlags, command: Command): EncodeOptions {
  const common = commonOptions(base, flags);
  if (flags.lossless === true) return { ...common, lossless: true };
  const budget = budgetOf(flags);
  const { preset, allocation, bits, prior } = flags;
  const conflict = presetConflict(withoutUndefined({ preset, budget, allocation, bits, prior }));
  if (conflict !== undefined) command.error(conflict);
  const implied = impliedAllocation(budget);
  if (implied !== undefined && flags.allocation !== undefined && flags.allocation !== implied) {
    command.error(
      `option '--${budget?.kind}' implies '--allocation ${implied}', got '--allocation ${flags.allocation}'`,
    );
  }
  if (flags.prior !== undefined && (implied ?? flags.allocation ?? 'layerwise') !== 'layerwise') {
    command.error(
      `option '--prior' belongs to '--allocation layerwise', got '--allocation ${implied ?? flags.allocation}'`,
    );
  }
  const options = withoutUndefined<EncodeOptions>({
    ...common,
    preset,
    budget,
    allocation,
    bits,
    prior,
    effort: flags.effort,
    importance: flags.importance,
    exactOnTop: flags.exactOnTop,
  });
  const unweighed = flags.importance === undefined ? undefined : importanceConflict(strategyOf(options));
  if (unweighed !== undefined) command.error(`option '--importance' is not possible here: ${unweighed}`);
  return options;
}

/** Options that say nothing of how tensors are coded. */
function commonOptions(base: string, flags: EncodeFlags): EncodeOptions {
  const { output, orBase, device, failAbove, sideFiles, baseName, baseRevision, force, overwrite, resume } =
    flags;
  return withoutUndefined<EncodeOptions>({
    base: orBase === undefined ? base : [base, ...orBase],
    output,
    device,
    failAbove,
    sideFiles,
    baseName,
    baseRevision,
    force,
    overwrite,
    resume,
  });
}

/** Commander has refused two budgets by now. Without one, a preset has its own default. */
function budgetOf(flags: EncodeFlags): Budget | undefined {
  if (flags.rank !== undefined) return { kind: 'rank', rank: flags.rank };
  if (flags.energy !== undefined) return { kind: 'energy', energy: flags.energy };
  if (flags.size !== undefined) return { kind: 'size', byteLength: flags.size };
  if (flags.maxError !== undefined) return { kind: 'max-error', relativeError: flags.maxError };
  if (flags.ratio !== undefined) return { kind: 'ratio', ratio: flags.ratio };
  return flags.preset === undefined ? DEFAULT_BUDGET : undefined;
}

function impliedAllocation(budget: Budget | undefined): Allocation | undefined {
  if (budget?.kind === 'rank') return 'uniform';
  return budget?.kind === 'energy' ? 'energy' : undefined;
}

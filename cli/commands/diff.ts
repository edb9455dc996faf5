/** `ere diff`: what changed between a base and its fine-tune, and what an archive of it would take. */
import { type Command, Option } from 'commander';
import type { Device } from '../../src/linalg/devices.js';
import type { Budget } from '../../src/residual/api.js';
import type { DiffOptions } from '../../src/residual/diff-report.js';
import type { CliContext } from '../context.js';
import { diffReportText, diffSummaryText } from '../output/diff.js';
import { warningText } from '../output/encode.js';
import { jsonText, writeText } from '../output/write.js';
import { parseShares } from '../values.js';
import {
  addDeviceOption,
  addRunOptions,
  type RunFlags,
  withoutUndefined,
  withProgress,
} from './shared-options.js';

interface DiffFlags extends RunFlags {
  readonly ratio?: readonly number[];
  readonly device?: Device;
  readonly all?: boolean;
}

/** Adds `ere diff BASE FINETUNED [--ratio 1%,6%]`. */
export function addDiffCommand(program: Command, context: CliContext): void {
  const command = program
    .command('diff')
    .summary('show how a fine-tuned model differs from its base')
    .description(
      'Shows how much of a fine-tuned checkpoint is unchanged, how far and in how many directions the rest moved,\n' +
        'and estimates archive sizes and errors from the leading singular values, without encoding. Writes nothing.',
    )
    .argument('<base>', 'base checkpoint')
    .argument('<finetuned>', 'fine-tuned checkpoint')
    .addOption(
      new Option(
        '--ratio <shares>',
        'archive sizes to estimate, as shares of the fine-tuned weights (default: 1%,3%,6%,12%,25%)',
      ).argParser(parseShares),
    )
    .option('--all', 'list every tensor instead of groups of layers');
  addRunOptions(addDeviceOption(command))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ ere diff llama my-finetune\n' +
        '  $ ere diff llama my-finetune --ratio 2%,4%,8%\n' +
        "  $ ere diff llama my-finetune --json | jq '.tensors[] | select(.unchangedShare == 1) | .name'",
    )
    .action(async (base: string, fineTuned: string, flags: DiffFlags) => {
      const budgets = flags.ratio?.map((ratio): Budget => ({ kind: 'ratio', ratio }));
      const options = withoutUndefined<DiffOptions>({ base, budgets, device: flags.device });
      const { diff } = await context.loadOperations();
      const report = await withProgress(context, flags, (common) =>
        diff(fineTuned, { ...common, ...options }),
      );
      if (flags.json) return await writeText(context.stdout, jsonText(report));
      await writeText(context.stderr, warningText([...report.mismatches, ...report.warnings]));
      const text = flags.quiet
        ? diffSummaryText(fineTuned, report)
        : diffReportText(fineTuned, report, flags.all === true);
      await writeText(context.stdout, text);
    });
}

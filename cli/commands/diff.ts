/**
 * `ere diff`: what changed between a base and its fine-tune, and what an archive of it would take; or between two
 * versions of a store. Operands that both exist as paths are checkpoints, unless --store says that they are refs;
 * without a store they are paths whatever they are.
 */
import { type Command, Option } from 'commander';
import { isEreError, NotFoundError } from '../../formats/errors.js';
import type { Device } from '../../src/linalg/devices.js';
import type { Budget } from '../../src/residual/api.js';
import type { DiffOptions } from '../../src/residual/diff-report.js';
import type { StoreOptions } from '../../src/store/api.js';
import type { CliContext } from '../context.js';
import { diffReportText, diffSummaryText } from '../output/diff.js';
import { warningText } from '../output/encode.js';
import { storeDiffSummaryText, storeDiffText } from '../output/store-diff.js';
import { jsonText, writeText } from '../output/write.js';
import { parseShares } from '../values.js';
import { addDeviceOption, addRunOptions, withoutUndefined, withProgress } from './shared-options.js';
import {
  addBasePathOption,
  addStoreOption,
  namedStore,
  type StoreFlags,
  withStore,
} from './store-options.js';

type StoreDiffOptions = StoreOptions & { readonly basePath?: string };

interface DiffFlags extends StoreFlags {
  readonly ratio?: readonly number[];
  readonly device?: Device;
  readonly all?: boolean;
  readonly basePath?: string;
}

/** Adds `ere diff BASE FINETUNED [--ratio 1%,6%]` and `ere diff REF REF`. */
export function addDiffCommand(program: Command, context: CliContext): void {
  const command = program
    .command('diff')
    .summary('show what changed between models, or two versions')
    .description(
      'Shows how much of a fine-tuned checkpoint is unchanged, how far and in how many directions the rest moved, ' +
        'and estimates archive sizes and errors from the leading singular values, without encoding. Writes nothing.\n\n' +
        'Where there are no such two paths, or with --store, both are versions of a store: shows which tensors changed, ' +
        'how far and in how many directions, and the text of side files that differ.',
    )
    .argument('<base>', 'base checkpoint, or the version to compare with')
    .argument('<finetuned>', 'fine-tuned checkpoint, or another version')
    .addOption(
      new Option(
        '--ratio <shares>',
        'archive sizes to estimate, as shares of the fine-tuned weights (default: 1%,3%,6%,12%,25%)',
      ).argParser(parseShares),
    )
    .option('--all', 'list every tensor instead of groups of layers');
  addRunOptions(addStoreOption(addBasePathOption(addDeviceOption(command))))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ ere diff llama my-finetune\n' +
        '  $ ere diff llama my-finetune --ratio 2%,4%,8%\n' +
        "  $ ere diff llama my-finetune --json | jq '.tensors[] | select(.unchangedShare == 1) | .name'\n" +
        '  $ ere diff chat~1 chat',
    )
    .action(async (base: string, fineTuned: string, flags: DiffFlags) => {
      if (await areRefs(context, flags, [base, fineTuned])) {
        const checkpointOnly = flags.ratio === undefined ? flags.device && '--device' : '--ratio';
        if (checkpointOnly !== undefined) {
          command.error(
            `option '${checkpointOnly}' is for checkpoints; '${base}' and '${fineTuned}' are versions`,
          );
        }
        await diffVersions(context, flags, base, fineTuned);
      } else {
        await diffCheckpoints(context, flags, base, fineTuned);
      }
    });
}

/** Whether the operands are refs of a store: told so, or not both paths where there is a store to look in. */
async function areRefs(context: CliContext, flags: DiffFlags, operands: readonly string[]): Promise<boolean> {
  if (flags.store !== undefined) return true;
  const { findStore, pathExists } = await context.loadOperations();
  const found = await Promise.all(operands.map(pathExists));
  if (found.every((exists) => exists)) return false;
  return (namedStore(context, flags) ?? (await findStore())) !== undefined;
}

async function diffVersions(context: CliContext, flags: DiffFlags, from: string, to: string): Promise<void> {
  const { basePath } = flags;
  const report = await withStore(context, flags, async (store, options) => {
    try {
      return await store.diff(from, to, withoutUndefined<StoreDiffOptions>({ ...options, basePath }));
    } catch (error) {
      if (flags.store !== undefined || !isEreError(error, 'ERE_NOT_FOUND')) throw error;
      // Perhaps a path was meant.
      const hint = `taken for versions, as not both '${from}' and '${to}' are paths that exist`;
      throw new NotFoundError(`${error.message}; ${hint}`, { cause: error });
    }
  });
  if (flags.json) return await writeText(context.stdout, jsonText(report));
  const text = flags.quiet ? storeDiffSummaryText(report) : storeDiffText(report, flags.all === true);
  await writeText(context.stdout, text);
}

async function diffCheckpoints(
  context: CliContext,
  flags: DiffFlags,
  base: string,
  fineTuned: string,
): Promise<void> {
  const budgets = flags.ratio?.map((ratio): Budget => ({ kind: 'ratio', ratio }));
  const options = withoutUndefined<DiffOptions>({ base, budgets, device: flags.device });
  const { diff } = await context.loadOperations();
  const report = await withProgress(context, flags, (common) => diff(fineTuned, { ...common, ...options }));
  if (flags.json) return await writeText(context.stdout, jsonText(report));
  await writeText(context.stderr, warningText([...report.mismatches, ...report.warnings]));
  const text = flags.quiet
    ? diffSummaryText(fineTuned, report)
    : diffReportText(fineTuned, report, flags.all === true);
  await writeText(context.stdout, text);
}

/** Options that say how tensors are coded, of the commands that encode: `encode` and `commit`. */
import { type Command, Option } from 'commander';
import type { Device } from '../../src/linalg/devices.js';
import { EFFORTS, type Effort } from '../../src/rate-distortion/efforts.js';
import type { Allocation, Budget, EncodeOptions } from '../../src/residual/api.js';
import { PRESETS, type PresetName, presetConflict } from '../../src/residual/presets.js';
import {
  parseBits,
  parseByteLength,
  parseCount,
  parseRelativeError,
  parseShare,
  parseWeight,
} from '../values.js';
import { addDeviceOption, withoutUndefined } from './shared-options.js';

export interface CodingFlags {
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
  readonly lossless?: boolean;
  readonly failAbove?: number;
  readonly force?: boolean;
  readonly device?: Device;
}

/** What these options turn into. */
export type CodingChoices = Pick<
  EncodeOptions,
  | 'budget'
  | 'preset'
  | 'allocation'
  | 'bits'
  | 'prior'
  | 'effort'
  | 'lossless'
  | 'failAbove'
  | 'force'
  | 'device'
>;

/** How the help of a command speaks of them. */
export interface CodingTexts {
  /** What a size is a size of: 'archive size'. */
  readonly size: string;
  /** Behind --ratio: '(default: 6%)'; '' where there is no default budget. */
  readonly byDefault: string;
  /** What --force allows. */
  readonly force: string;
}

/** Adds them to a command. At most one budget; --lossless goes with nothing that asks for a loss. */
export function addCodingOptions(command: Command, texts: CodingTexts): Command {
  const budgets = budgetOptions(texts);
  const budgetNames = budgets.map((option) => option.attributeName());
  for (const option of budgets) {
    command.addOption(option.conflicts(budgetNames.filter((name) => name !== option.attributeName())));
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
    .addOption(
      new Option('--lossless', 'code every tensor bit for bit, whatever it takes').conflicts([
        ...budgetNames,
        'preset',
        'allocation',
        'bits',
        'prior',
        'effort',
      ]),
    )
    .addOption(
      new Option(
        '--fail-above <error>',
        'write nothing and fail when the relative error over all residuals is above this',
      ).argParser(parseRelativeError),
    )
    .option('--force', texts.force);
  return addDeviceOption(command);
}

/** The list of presets, for the end of a help. */
export function presetHelp(): string {
  const lines = Object.entries(PRESETS).map(([name, { summary }]) => `  ${name.padEnd(12)}${summary}\n`);
  return `\nPresets:\n${lines.join('')}`;
}

/**
 * The options of the library that the flags ask for; what contradicts itself is a usage error of `command`.
 * @param defaultBudget what is asked for without a budget, a preset or --lossless
 */
export function codingOptions(flags: CodingFlags, command: Command, defaultBudget?: Budget): CodingChoices {
  const { preset, allocation, bits, prior, effort, lossless, failAbove, force, device } = flags;
  const budget = budgetOf(flags) ?? ((preset ?? lossless) ? undefined : defaultBudget);
  const conflict = presetConflict(withoutUndefined({ preset, budget, allocation, bits, prior }));
  if (conflict !== undefined) command.error(conflict);
  const implied = impliedAllocation(budget);
  if (implied !== undefined && allocation !== undefined && allocation !== implied) {
    command.error(
      `option '--${budget?.kind}' implies '--allocation ${implied}', got '--allocation ${allocation}'`,
    );
  }
  if (prior !== undefined && (implied ?? allocation ?? 'layerwise') !== 'layerwise') {
    command.error(
      `option '--prior' belongs to '--allocation layerwise', got '--allocation ${implied ?? allocation}'`,
    );
  }
  return withoutUndefined<CodingChoices>({
    budget,
    preset,
    allocation,
    bits,
    prior,
    effort,
    lossless,
    failAbove,
    force,
    device,
  });
}

/** New ones for each program: `conflicts` changes them. */
function budgetOptions({ size, byDefault }: CodingTexts): Option[] {
  return [
    new Option(
      '--ratio <share>',
      `${size} as a share of the fine-tuned weights, 6% or 0.06 ${byDefault}`.trimEnd(),
    ).argParser(parseShare),
    new Option('--size <size>', `${size}: 12MB, 800KiB`).argParser(parseByteLength),
    new Option('--rank <n>', 'the same rank for every matrix').argParser(parseCount),
    new Option('--energy <share>', 'share of the squared residual that every matrix keeps').argParser(
      parseShare,
    ),
    new Option('--max-error <error>', 'relative error over all residuals, such as 0.3').argParser(
      parseRelativeError,
    ),
  ];
}

/** Commander has refused two budgets by now. */
function budgetOf(flags: CodingFlags): Budget | undefined {
  if (flags.rank !== undefined) return { kind: 'rank', rank: flags.rank };
  if (flags.energy !== undefined) return { kind: 'energy', energy: flags.energy };
  if (flags.size !== undefined) return { kind: 'size', byteLength: flags.size };
  if (flags.maxError !== undefined) return { kind: 'max-error', relativeError: flags.maxError };
  if (flags.ratio !== undefined) return { kind: 'ratio', ratio: flags.ratio };
  return undefined;
}

function impliedAllocation(budget: Budget | undefined): Allocation | undefined {
  if (budget?.kind === 'rank') return 'uniform';
  return budget?.kind === 'energy' ? 'energy' : undefined;
}

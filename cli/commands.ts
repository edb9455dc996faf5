/**
 * The commands of `ere` as its help lists them. What else there is to a command, and what it needs of the library,
 * is loaded for the one that runs: a start takes as long as what it loads.
 */
import type { Command } from 'commander';
import type { CliContext } from './context.js';

/** Headings of the help. */
const [ARCHIVES, HUB, STORE, UPKEEP, HELP] = [
  'Archives:',
  'Hugging Face Hub:',
  'Store:',
  'Upkeep of the store:',
  'Help:',
] as const;
type Group = typeof ARCHIVES | typeof HUB | typeof STORE | typeof UPKEEP;

export interface CommandEntry {
  readonly name: string;
  /** As the command itself declares them; a test keeps both equal. */
  readonly operands: string;
  readonly summary: string;
  /** Heading that the help lists it under. */
  readonly group: Group;
  /** Gives the function that adds the whole command to the program. */
  readonly load: () => Promise<(program: Command, context: CliContext) => void>;
}

/** In the order of the help. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'encode',
    operands: '<base> <finetuned>',
    summary: 'store a fine-tuned model as a residual against its base',
    group: ARCHIVES,
    load: async () => (await import('./commands/encode.js')).addEncodeCommand,
  },
  {
    name: 'decode',
    operands: '<base> <archive>',
    summary: 'rebuild a checkpoint from an archive and its base',
    group: ARCHIVES,
    load: async () => (await import('./commands/decode.js')).addDecodeCommand,
  },
  {
    name: 'verify',
    operands: '<archive>',
    summary: 'check an archive, its base and what it decodes to',
    group: ARCHIVES,
    load: async () => (await import('./commands/verify.js')).addVerifyCommand,
  },
  {
    name: 'inspect',
    operands: '<archive>',
    summary: 'show what an archive holds',
    group: ARCHIVES,
    load: async () => (await import('./commands/inspect.js')).addInspectCommand,
  },
  {
    name: 'export-lora',
    operands: '<archive>',
    summary: 'write a LoRA adapter from an archive of low-rank residuals',
    group: ARCHIVES,
    load: async () => (await import('./commands/export-lora.js')).addExportLoraCommand,
  },
  {
    name: 'diff',
    operands: '<base> <finetuned>',
    summary: 'show what changed between models, or two versions',
    group: ARCHIVES,
    load: async () => (await import('./commands/diff.js')).addDiffCommand,
  },
  {
    name: 'truncate',
    operands: '<archive>',
    summary: 'keep the first part of an archive',
    group: ARCHIVES,
    load: async () => (await import('./commands/truncate.js')).addTruncateCommand,
  },
  {
    name: 'push',
    operands: '<finetuned>',
    summary: 'upload a fine-tune to the Hub as its residual',
    group: HUB,
    load: async () => (await import('./commands/push.js')).addPushCommand,
  },
  {
    name: 'pull',
    operands: '<repo>',
    summary: 'rebuild a model from its archive on the Hub',
    group: HUB,
    load: async () => (await import('./commands/pull.js')).addPullCommand,
  },
  {
    name: 'serve',
    operands: '',
    summary: 'serve a store, so that clients of the Hub download whole models',
    group: HUB,
    load: async () => (await import('./commands/serve.js')).addServeCommand,
  },
  {
    name: 'init',
    operands: '[dir]',
    summary: 'make an empty store',
    group: STORE,
    load: async () => (await import('./commands/init.js')).addInitCommand,
  },
  {
    name: 'base',
    operands: '[command]',
    summary: 'register a base, or list the bases',
    group: STORE,
    load: async () => (await import('./commands/base.js')).addBaseCommand,
  },
  {
    name: 'commit',
    operands: '<path>',
    summary: 'store a checkpoint as a version',
    group: STORE,
    load: async () => (await import('./commands/commit.js')).addCommitCommand,
  },
  {
    name: 'log',
    operands: '[ref]',
    summary: 'list versions, the newest first',
    group: STORE,
    load: async () => (await import('./commands/log.js')).addLogCommand,
  },
  {
    name: 'show',
    operands: '<ref>',
    summary: 'show all that is known of a version',
    group: STORE,
    load: async () => (await import('./commands/show.js')).addShowCommand,
  },
  {
    name: 'checkout',
    operands: '<ref>',
    summary: 'rebuild the checkpoint of a version',
    group: STORE,
    load: async () => (await import('./commands/checkout.js')).addCheckoutCommand,
  },
  {
    name: 'tag',
    operands: '[name] [ref]',
    summary: 'name a version, or list the tags',
    group: STORE,
    load: async () => (await import('./commands/tag.js')).addTagCommand,
  },
  {
    name: 'branch',
    operands: '[name] [ref]',
    summary: 'begin a model at a version, or list the models',
    group: STORE,
    load: async () => (await import('./commands/branch.js')).addBranchCommand,
  },
  {
    name: 'rm',
    operands: '<ref>',
    summary: 'remove a model, a tag or a version',
    group: STORE,
    load: async () => (await import('./commands/rm.js')).addRmCommand,
  },
  {
    name: 'export',
    operands: '<ref>',
    summary: 'write a version as an archive',
    group: STORE,
    load: async () => (await import('./commands/export.js')).addExportCommand,
  },
  {
    name: 'import',
    operands: '<archive>',
    summary: 'add an archive as a version',
    group: STORE,
    load: async () => (await import('./commands/import.js')).addImportCommand,
  },
  {
    name: 'stats',
    operands: '',
    summary: 'show what the store holds and what it takes',
    group: UPKEEP,
    load: async () => (await import('./commands/stats.js')).addStatsCommand,
  },
  {
    name: 'gc',
    operands: '',
    summary: 'free what no version needs',
    group: UPKEEP,
    load: async () => (await import('./commands/gc.js')).addGcCommand,
  },
  {
    name: 'fsck',
    operands: '',
    summary: 'check the store',
    group: UPKEEP,
    load: async () => (await import('./commands/fsck.js')).addFsckCommand,
  },
  {
    name: 'inventory',
    operands: '',
    summary: 'prepare the store for reading over HTTP',
    group: UPKEEP,
    load: async () => (await import('./commands/inventory.js')).addInventoryCommand,
  },
];

/** Adds every command: whole where `argv` names it, else as a line of the help. */
export async function addCommands(
  program: Command,
  context: CliContext,
  argv: readonly string[],
): Promise<void> {
  const added = await Promise.all(
    // Also an operand that happens to be a command's name: loading one too many does no harm.
    COMMANDS.map(({ name, load }) => (argv.includes(name) ? load() : undefined)),
  );
  for (const [i, { name, operands, summary, group }] of COMMANDS.entries()) {
    program.commandsGroup(group);
    const add = added[i];
    if (add !== undefined) add(program, context);
    else {
      const line = program.command(name).summary(summary);
      if (operands !== '') line.arguments(operands);
    }
  }
  program.commandsGroup(HELP).helpCommand(true);
  // Every command has options; those of most are not loaded.
  const operandsOf = (command: Command) => command.usage().replace(/^\[options\] ?/, '');
  program.configureHelp({
    subcommandTerm: (command) => `${command.name()} ${operandsOf(command)}`.trimEnd(),
  });
}

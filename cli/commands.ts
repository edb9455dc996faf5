/**
 * The commands of `ere` as its help lists them. What else there is to a command, and what it needs of the library,
 * is loaded for the one that runs: a start takes as long as what it loads.
 */
import type { Command } from 'commander';
import type { CliContext } from './context.js';

export interface CommandEntry {
  readonly name: string;
  /** As the command itself declares them; a test keeps both equal. */
  readonly operands: string;
  readonly summary: string;
  /** Gives the function that adds the whole command to the program. */
  readonly load: () => Promise<(program: Command, context: CliContext) => void>;
}

/** In the order of the help. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'encode',
    operands: '<base> <finetuned>',
    summary: 'store a fine-tuned model as a residual against its base',
    load: async () => (await import('./commands/encode.js')).addEncodeCommand,
  },
  {
    name: 'decode',
    operands: '<base> <archive>',
    summary: 'rebuild a checkpoint from an archive and its base',
    load: async () => (await import('./commands/decode.js')).addDecodeCommand,
  },
  {
    name: 'verify',
    operands: '<archive>',
    summary: 'check an archive, its base and what it decodes to',
    load: async () => (await import('./commands/verify.js')).addVerifyCommand,
  },
  {
    name: 'inspect',
    operands: '<archive>',
    summary: 'show what an archive holds',
    load: async () => (await import('./commands/inspect.js')).addInspectCommand,
  },
  {
    name: 'export-lora',
    operands: '<archive>',
    summary: 'write a LoRA adapter from an archive of low-rank residuals',
    load: async () => (await import('./commands/export-lora.js')).addExportLoraCommand,
  },
  {
    name: 'diff',
    operands: '<base> <finetuned>',
    summary: 'show how a fine-tuned model differs from its base',
    load: async () => (await import('./commands/diff.js')).addDiffCommand,
  },
  {
    name: 'truncate',
    operands: '<archive>',
    summary: 'keep the first part of an archive',
    load: async () => (await import('./commands/truncate.js')).addTruncateCommand,
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
  for (const [i, { name, operands, summary }] of COMMANDS.entries()) {
    const add = added[i];
    if (add !== undefined) add(program, context);
    else program.command(name).summary(summary).arguments(operands);
  }
  // Commander would leave "[options]" out of commands whose options are not loaded.
  program.configureHelp({ subcommandTerm: (command) => `${command.name()} ${command.usage()}` });
}

/** The command line: parses arguments, runs one command, and turns whatever ends it into an exit status. */
import { Command, CommanderError } from 'commander';
import { PACKAGE_VERSION } from '../src/version.js';
import { addCommands } from './commands.js';
import type { CliContext } from './context.js';
import { exitCodeOf, exitStatus } from './exit-codes.js';
import { errorText, usageErrorText } from './output/error.js';
import { writeText } from './output/write.js';

/**
 * Runs `ere` with the arguments after the program name.
 * @returns the exit status; never rejects.
 */
export async function run(argv: readonly string[], context: CliContext): Promise<number> {
  // Commander hands out help in pieces; one write at the end keeps it whole and in order.
  const help = { stdout: '', stderr: '' };
  const json = argv.includes('--json');
  try {
    const program = await buildProgram(context, argv, help);
    await program.parseAsync([...argv], { from: 'user' });
    return exitStatus('OK');
  } catch (error) {
    return await endWith(error, context, json, help).catch(() => exitStatus('ERE_IO'));
  }
}

async function buildProgram(
  context: CliContext,
  argv: readonly string[],
  help: { stdout: string; stderr: string },
): Promise<Command> {
  const program = new Command('ere')
    .description(
      'Stores fine-tuned models as small, verified residuals against their base: one in an archive, or many as ' +
        'versions in a store.',
    )
    .version(PACKAGE_VERSION)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => {
        help.stdout += text;
      },
      writeErr: (text) => {
        help.stderr += text;
      },
      outputError: () => {}, // said once, in `endWith`
    })
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ ere encode llama my-finetune -o my-finetune.ere\n' +
        '  $ ere decode llama my-finetune.ere -o rebuilt\n' +
        '  $ ere verify my-finetune.ere --base llama\n' +
        '  $ ere init && ere base add llama llama && ere commit my-finetune -m "first version"',
    );
  await addCommands(program, context, argv);
  return program;
}

async function endWith(
  error: unknown,
  { stdout, stderr, signal }: CliContext,
  json: boolean,
  help: { readonly stdout: string; readonly stderr: string },
): Promise<number> {
  if (error instanceof CommanderError) {
    await writeText(stdout, help.stdout);
    if (error.exitCode === 0) return exitStatus('OK'); // --help, --version
    await writeText(stderr, usageErrorText(error, help.stderr, json));
    return exitStatus('ERE_USAGE');
  }
  const code = exitCodeOf(error, signal.aborted ? signal.reason : undefined);
  await writeText(stderr, errorText(error, code, json));
  return exitStatus(code);
}

/** `ere verify`: checks an archive, and with a base everything that it decodes to. */
import type { Command } from 'commander';
import type { VerifyOptions } from '../../src/residual/api.js';
import type { CliContext } from '../context.js';
import { verifyReportText } from '../output/verify.js';
import { jsonText, writeText } from '../output/write.js';
import {
  addMemoryOption,
  addRunOptions,
  type RunFlags,
  withoutUndefined,
  withProgress,
} from './shared-options.js';

interface VerifyFlags extends RunFlags {
  readonly base?: string;
  readonly against?: string;
}

/** Adds `ere verify FILE.ere [--base BASE] [--against FINETUNED]`. */
export function addVerifyCommand(program: Command, context: CliContext): void {
  const command = program
    .command('verify')
    .summary('check an archive, its base and what it decodes to')
    .description(
      'Checks every checksum of an archive; with --base also the digest of every base and decoded tensor.\n' +
        '--against compares what the archive decodes to with another checkpoint and reports the loss.',
    )
    .argument('<archive>', 'archive to check')
    .option('-b, --base <path>', 'the base that the archive was made against')
    .option('--against <path>', 'checkpoint to compare the decoded one with; needs --base');
  addRunOptions(addMemoryOption(command))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ ere verify my-finetune.ere\n' +
        '  $ ere verify my-finetune.ere --base llama --against my-finetune',
    )
    .action(async (archive: string, flags: VerifyFlags) => {
      if (flags.against !== undefined && flags.base === undefined) {
        command.error("option '--against <path>' needs option '--base <path>'");
      }
      const options = withoutUndefined<VerifyOptions>({ base: flags.base, against: flags.against });
      const { verify } = await context.loadOperations();
      const report = await withProgress(context, flags, (common) =>
        verify(archive, { ...common, ...options }),
      );
      if (flags.json) await writeText(context.stdout, jsonText(report));
      else if (!flags.quiet)
        await writeText(context.stdout, verifyReportText(archive, report, flags.base !== undefined));
    });
}

/** `ere truncate`: the first part of an archive as an archive of its own. */
import { type Command, Option } from 'commander';
import type { TruncateOptions } from '../../src/residual/api.js';
import type { CliContext } from '../context.js';
import { truncateReportText } from '../output/truncate.js';
import { jsonText, writeText } from '../output/write.js';
import { parseTruncation } from '../values.js';
import { addRunOptions, type RunFlags, withoutUndefined, withProgress } from './shared-options.js';

interface TruncateFlags extends RunFlags {
  readonly to: number | 'lossy';
  readonly output: string;
  readonly base?: string;
  readonly overwrite?: boolean;
}

/** Adds `ere truncate FILE.ere --to SIZE|lossy -o OUT.ere [--base BASE]`. */
export function addTruncateCommand(program: Command, context: CliContext): void {
  const command = program
    .command('truncate')
    .summary('keep the first part of an archive')
    .description(
      'Writes the first part of an archive as an archive of its own: what fits a size,\n' +
        'or the lossy part below exact terms. Nothing is coded anew. The errors of a cut\n' +
        'archive are estimates, and are called so.',
    )
    .argument('<archive>', 'archive to read')
    .addOption(
      new Option('--to <size>', "greatest size of the new archive: 12MB, 800KiB; or 'lossy'")
        .argParser(parseTruncation)
        .makeOptionMandatory(),
    )
    .requiredOption('-o, --output <file>', 'archive to write')
    .option('-b, --base <path>', 'the base that the archive was made against; needed with a size')
    .option('--overwrite', 'replace an existing output');
  addRunOptions(command)
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ ere truncate my-finetune.ere --to lossy -o small.ere\n' +
        '  $ ere truncate my-finetune.ere --to 100MB --base llama -o smaller.ere',
    )
    .action(async (archive: string, flags: TruncateFlags) => {
      if (flags.to !== 'lossy' && flags.base === undefined) {
        command.error("option '--to <size>' needs option '--base <path>': a cut archive has new digests");
      }
      const options = withoutUndefined<TruncateOptions>({
        to: flags.to,
        output: flags.output,
        base: flags.base,
        overwrite: flags.overwrite,
      });
      const { truncate } = await context.loadOperations();
      const report = await withProgress(context, flags, (common) =>
        truncate(archive, { ...common, ...options }),
      );
      if (flags.json) await writeText(context.stdout, jsonText(report));
      else await writeText(context.stdout, truncateReportText(report));
    });
}

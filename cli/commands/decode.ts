/** `ere decode`: rebuilds the checkpoint of an archive from its base. */
import { type Command, Option } from 'commander';
import type { ArchiveLevel } from '../../formats/ere/levels.js';
import type { DecodeOptions } from '../../src/residual/api.js';
import type { CliContext } from '../context.js';
import { decodeReportText } from '../output/decode.js';
import { jsonText, writeText } from '../output/write.js';
import { addRunOptions, type RunFlags, withoutUndefined, withProgress } from './shared-options.js';

interface DecodeFlags extends RunFlags {
  readonly base: string;
  readonly output: string;
  readonly overwrite?: boolean;
  readonly quality?: ArchiveLevel;
  readonly partial?: boolean;
}

/** Adds `ere decode FILE.ere --base BASE -o OUT`. */
export function addDecodeCommand(program: Command, context: CliContext): void {
  const command = program
    .command('decode')
    .summary('rebuild a checkpoint from an archive and its base')
    .description(
      'Rebuilds the checkpoint of an archive: the same files and layout as the fine-tuned one.\n' +
        'Every base and decoded tensor is checked against the digest in the archive.',
    )
    .argument('<archive>', 'archive to read')
    .requiredOption('-b, --base <path>', 'the base that the archive was made against')
    .requiredOption(
      '-o, --output <path>',
      'folder to create, or a path ending in .safetensors for the weights alone',
    )
    .addOption(
      new Option(
        '--quality <level>',
        'lossy leaves exact terms on top of lossy ones out; exact refuses an archive without (default: the best it has)',
      ).choices(['lossy', 'exact']),
    )
    .option('--partial', 'decode what is there of a file that was cut off, such as a broken download')
    .option('--overwrite', 'replace an existing output');
  addRunOptions(command)
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ ere decode my-finetune.ere --base llama -o rebuilt\n' +
        '  $ ere decode my-finetune.ere --base llama -o rebuilt.safetensors --overwrite',
    )
    .action(async (archive: string, flags: DecodeFlags) => {
      const options = withoutUndefined<DecodeOptions>({
        base: flags.base,
        output: flags.output,
        overwrite: flags.overwrite,
        quality: flags.quality,
        partial: flags.partial,
      });
      const { decode } = await context.loadOperations();
      const report = await withProgress(context, flags, (common) =>
        decode(archive, { ...common, ...options }),
      );
      if (flags.json) await writeText(context.stdout, jsonText(report));
      else if (!flags.quiet) await writeText(context.stdout, decodeReportText(report));
    });
}

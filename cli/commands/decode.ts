/** `ere decode`: rebuilds the checkpoint of an archive from its base. */
import { type Command, Option } from 'commander';
import type { ArchiveLevel } from '../../formats/ere/levels.js';
import type { DecodeOptions } from '../../src/residual/api.js';
import type { CliContext } from '../context.js';
import { decodeReportText } from '../output/decode.js';
import { jsonText, writeText } from '../output/write.js';
import {
  addMemoryOption,
  addRunOptions,
  type RunFlags,
  withoutUndefined,
  withProgress,
} from './shared-options.js';

interface DecodeFlags extends RunFlags {
  readonly output: string;
  readonly tensor?: readonly string[];
  readonly sideFiles: boolean;
  readonly overwrite?: boolean;
  readonly quality?: ArchiveLevel;
  readonly partial?: boolean;
}

/** Adds `ere decode BASE FILE.ere -o OUT`. */
export function addDecodeCommand(program: Command, context: CliContext): void {
  const command = program
    .command('decode')
    .summary('rebuild a checkpoint from an archive and its base')
    .description(
      'Rebuilds the checkpoint of an archive: the same files and layout as the fine-tuned one.\n' +
        'Every decoded tensor is checked against its digest in the archive, and with it the base it came from.',
    )
    .argument('<base>', 'the base that the archive was made against')
    .argument('<archive>', 'archive to read')
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
    .option('-t, --tensor <name...>', 'decode only these tensors, into one .safetensors file')
    .option('--no-side-files', 'leave out config, tokenizer and other small files')
    .option('--overwrite', 'replace an existing output');
  addRunOptions(addMemoryOption(command))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ ere decode llama my-finetune.ere -o rebuilt\n' +
        '  $ ere decode llama my-finetune.ere -o rebuilt.safetensors --overwrite\n' +
        '  $ ere decode llama my-finetune.ere -o head.safetensors --tensor lm_head.weight',
    )
    .action(async (base: string, archive: string, flags: DecodeFlags) => {
      if (flags.tensor !== undefined && !flags.output.endsWith('.safetensors')) {
        command.error(`option '--tensor' needs an output that ends in .safetensors, got '${flags.output}'`);
      }
      const options = withoutUndefined<DecodeOptions>({
        base,
        output: flags.output,
        tensors: flags.tensor,
        sideFiles: flags.sideFiles,
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

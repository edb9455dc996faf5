/** `ere pull`: a model of the Hub, rebuilt from its archive and its base. */
import { type Command, Option } from 'commander';
import type { ArchiveLevel } from '../../formats/ere/levels.js';
import type { PullOptions } from '../../src/hub/api.js';
import type { CliContext } from '../context.js';
import { pullReportText, pullSummaryText } from '../output/hub.js';
import { jsonText, writeText } from '../output/write.js';
import { parseByteLength } from '../values.js';
import { addTokenOption, type HubFlags, hubOptions, parseRepo } from './hub-options.js';
import {
  addMemoryOption,
  addRunOptions,
  type RunFlags,
  withoutUndefined,
  withProgress,
} from './shared-options.js';

interface PullFlags extends RunFlags, HubFlags {
  readonly output: string;
  readonly base?: string;
  readonly file?: string;
  readonly quality?: ArchiveLevel;
  readonly maxSize?: number;
  readonly sideFiles: boolean;
  readonly overwrite?: boolean;
}

/** Adds `ere pull USER/REPO[@REV] -o DIR`. */
export function addPullCommand(program: Command, context: CliContext): void {
  const command = program
    .command('pull')
    .summary('rebuild a model from its archive on the Hub')
    .description(
      'Rebuilds a model from its archive on the Hugging Face Hub. The base comes from the local Hub cache, or is downloaded\n' +
        'to it; every tensor is checked against its digest. What an earlier pull of the same has written is left as it is.',
    )
    .argument('<repo>', 'user/repo, or user/repo@revision', parseRepo)
    .requiredOption(
      '-o, --output <path>',
      'folder to create, or a path ending in .safetensors for the weights alone',
    )
    .option('--base <path>', 'local base (default: the one that the archive names)')
    .option('--file <path>', 'archive in the repository (default: its only one)')
    .addOption(
      new Option(
        '--quality <level>',
        'lossy downloads no exact terms; exact refuses an archive without (default: the best it has)',
      ).choices(['lossy', 'exact']),
    )
    .addOption(
      new Option(
        '--max-size <size>',
        'download no more of the archive than this, and decode what it is worth: 12MB, 800KiB',
      ).argParser(parseByteLength),
    )
    .option('--no-side-files', 'leave out config, tokenizer and other small files')
    .option('--overwrite', 'replace an existing output');
  addRunOptions(addMemoryOption(addTokenOption(command)))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ ere pull user/my-finetune -o my-finetune\n' +
        '  $ ere pull user/my-finetune@v1.0 -o my-finetune --quality lossy\n' +
        '  $ ere pull user/my-finetune -o preview --max-size 200MB --base /models/llama',
    )
    .action(async (repo: string, flags: PullFlags) => {
      const { output, base, file, quality, maxSize: maxByteLength, sideFiles, overwrite } = flags;
      const options = withoutUndefined<PullOptions>({
        ...hubOptions(context, flags),
        output,
        base,
        file,
        quality,
        maxByteLength,
        sideFiles,
        overwrite,
      });
      const { pull } = await context.loadOperations();
      const report = await withProgress(context, flags, (common) => pull(repo, { ...common, ...options }));
      if (flags.json) return await writeText(context.stdout, jsonText(report));
      await writeText(context.stdout, flags.quiet ? pullSummaryText(report) : pullReportText(report));
    });
}

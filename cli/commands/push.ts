/** `ere push`: a fine-tune to the Hub, as its residual. */
import type { Command } from 'commander';
import { relativePathProblem } from '../../formats/relative-path.js';
import type { PushOptions } from '../../src/hub/api.js';
import { isRevision } from '../../src/hub/repo-name.js';
import type { CliContext } from '../context.js';
import { warningText } from '../output/encode.js';
import { pushReportText, pushSummaryText } from '../output/hub.js';
import { jsonText, writeText } from '../output/write.js';
import {
  addCodingOptions,
  type CodingChoices,
  type CodingFlags,
  codingOptions,
  presetHelp,
} from './coding-options.js';
import { addTokenOption, type HubFlags, hubOptions, parseRepo, parseTarget } from './hub-options.js';
import {
  addMemoryOption,
  addRunOptions,
  type RunFlags,
  withoutUndefined,
  withProgress,
} from './shared-options.js';
import { namedStore } from './store-options.js';

interface PushFlags extends RunFlags, CodingFlags, HubFlags {
  readonly to: string;
  readonly base?: string;
  readonly basePath?: string;
  readonly store?: string;
  readonly output?: string;
  readonly overwrite?: boolean;
  readonly exactOnTop?: boolean;
  readonly pathInRepo?: string;
  readonly sideFiles: boolean;
  readonly card: boolean;
  readonly branch?: string;
  readonly pr?: boolean;
  readonly private?: boolean;
  readonly message?: string;
  readonly dryRun?: boolean;
}

/** Adds `ere push FINETUNED|FILE.ere|REF --to USER/REPO`. */
export function addPushCommand(program: Command, context: CliContext): void {
  const command = program
    .command('push')
    .summary('upload a fine-tune to the Hub as its residual')
    .description(
      'Uploads a fine-tune to the Hugging Face Hub as an archive, with the small files it carries and a model card, in one\n' +
        'commit. A checkpoint is encoded against its base first; an archive, or a version of a store, goes as it is.\n' +
        'What the repository has already is not sent again.',
    )
    .argument('<finetuned>', 'checkpoint, archive ending in .ere, or model, tag or version of a store')
    .requiredOption('--to <repo>', 'user/repo to upload to; it is made if there is none', parseTarget)
    .option(
      '--base <repo>',
      'base on the Hub, org/model or org/model@revision (default: the one that the archive names)',
      parseRepo,
    )
    .option('--base-path <path>', 'local copy of the base to encode against')
    .option(
      '--store <location>',
      'store of the version to push (default: $ERE_STORE, else the nearest .ere-store)',
    )
    .option('-o, --output <file>', 'keep the archive; a push that broke off goes on with it')
    .option('--overwrite', 'replace that file');
  addCodingOptions(command, {
    size: 'archive size',
    byDefault: '(default: 6%)',
    force: 'encode against a base that does not seem to belong',
  });
  command
    .option('--exact-on-top', 'add exact terms behind the lossy ones, which whoever pulls may leave out')
    .option('--path-in-repo <path>', 'name of the archive in the repository (default: model.ere)')
    .option('--no-side-files', 'do not upload config, tokenizer and other small files beside the archive')
    .option('--no-card', 'do not write README.md, the model card')
    .option('--branch <name>', 'branch to commit to, made if there is none (default: main)')
    .option('--pr', 'open a pull request')
    .option('--private', 'make a new repository private')
    .option('-m, --message <text>', 'title of the commit')
    .option('--dry-run', 'say what would be uploaded, byte for byte, and upload nothing');
  addRunOptions(addMemoryOption(addTokenOption(command)))
    .addHelpText('after', presetHelp)
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ ere push my-finetune --to user/my-finetune --base meta-llama/Llama-3.2-1B\n' +
        '  $ ere push my-finetune.ere --to user/my-finetune --dry-run\n' +
        '  $ ere push chat~1 --to user/chat --base meta-llama/Llama-3.2-1B --private',
    )
    .action(async (subject: string, flags: PushFlags) => {
      assertFlags(command, flags);
      const { push, pathExists, findStore } = await context.loadOperations();
      const isPath = subject.endsWith('.ere') || (await pathExists(subject));
      const store = flags.store ?? (isPath ? undefined : (namedStore(context, flags) ?? (await findStore())));
      const coding = codingOptions(flags, command);
      assertCoding(command, flags, coding, store === undefined && !subject.endsWith('.ere'));
      const options = withoutUndefined<PushOptions>({
        ...hubOptions(context, flags),
        ...coding,
        to: flags.to,
        base: flags.base,
        basePath: flags.basePath,
        store,
        output: flags.output,
        overwrite: flags.overwrite,
        exactOnTop: flags.exactOnTop,
        pathInRepo: flags.pathInRepo,
        sideFiles: flags.sideFiles,
        card: flags.card,
        branch: flags.branch,
        pullRequest: flags.pr,
        private: flags.private,
        message: flags.message,
        dryRun: flags.dryRun,
      });
      const report = await withProgress(context, flags, (common) => push(subject, { ...common, ...options }));
      if (flags.json) return await writeText(context.stdout, jsonText(report));
      await writeText(context.stderr, warningText(report.warnings));
      await writeText(context.stdout, flags.quiet ? pushSummaryText(report) : pushReportText(report));
    });
}

function assertFlags(command: Command, { branch, pathInRepo }: PushFlags): void {
  if (branch !== undefined && !isRevision(branch)) {
    command.error(`option '--branch' needs the name of a branch, got '${branch}'`);
  }
  if (pathInRepo === undefined) return;
  const problem =
    relativePathProblem(pathInRepo) ?? (pathInRepo.endsWith('.ere') ? undefined : 'does not end in .ere');
  if (problem !== undefined) command.error(`option '--path-in-repo': '${pathInRepo}' ${problem}`);
}

/** What is encoded already takes no options of encoding; what is not needs its base. */
function assertCoding(
  command: Command,
  { base, exactOnTop }: PushFlags,
  coding: CodingChoices,
  isEncoded: boolean,
): void {
  if (isEncoded) {
    if (base === undefined) command.error("a checkpoint needs its base on the Hub, '--base org/model'");
    return;
  }
  const given = Object.keys({ ...coding, ...(exactOnTop === undefined ? {} : { exactOnTop }) });
  if (given.length > 0) {
    command.error(
      `an archive or a version is not encoded again: there is nothing to do for ${given.join(', ')}`,
    );
  }
}

/** `ere inspect`: what an archive holds, from its index alone. */
import type { Command } from 'commander';
import type { CliContext } from '../context.js';
import { inspectReportText } from '../output/inspect.js';
import { jsonText, writeText } from '../output/write.js';

interface InspectFlags {
  readonly tensors?: boolean;
  readonly json?: boolean;
}

/** Adds `ere inspect FILE.ere [--tensors]`. */
export function addInspectCommand(program: Command, context: CliContext): void {
  program
    .command('inspect')
    .summary('show what an archive holds')
    .description(
      'Shows where an archive comes from, which base it needs and what became of every tensor. Needs no base.',
    )
    .argument('<archive>', 'archive to read')
    .option('--tensors', 'list every tensor instead of groups of layers')
    .option('--json', 'print the result as one JSON document, and an error as one JSON object')
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ ere inspect my-finetune.ere\n' +
        "  $ ere inspect my-finetune.ere --json | jq '.tensors[] | select(.relativeError > 0.8) | .name'",
    )
    .action(async (archive: string, flags: InspectFlags) => {
      const { inspect } = await context.loadOperations();
      const report = await inspect(archive);
      await writeText(
        context.stdout,
        flags.json ? jsonText(report) : inspectReportText(report, flags.tensors === true),
      );
    });
}

/** `ere export-lora`: an archive of low-rank residuals as a LoRA adapter. */
import { type Command, Option } from 'commander';
import type { ExportLoraOptions } from '../../src/export/peft.js';
import type { CliContext } from '../context.js';
import { droppedText, exportLoraReportText } from '../output/export-lora.js';
import { jsonText, writeText } from '../output/write.js';
import { withoutUndefined } from './shared-options.js';

interface ExportLoraFlags {
  readonly output: string;
  readonly base?: string;
  readonly baseModel?: string;
  readonly dtype?: 'f32' | 'bf16' | 'f16';
  readonly drop?: boolean;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

/** Adds `ere export-lora FILE.ere [--base BASE] -o DIR`. */
export function addExportLoraCommand(program: Command, context: CliContext): void {
  program
    .command('export-lora')
    .summary('write a LoRA adapter from an archive of low-rank residuals')
    .description(
      'Writes the low-rank residuals of an archive as an adapter in the layout of PEFT: adapter_model.safetensors\n' +
        'and adapter_config.json, with lora_alpha = r. Encode with --preset lora for archives that fit.',
    )
    .argument('<archive>', 'archive to read')
    .requiredOption('-o, --output <dir>', 'folder to create')
    .option('-b, --base <path>', 'base to check: its layout, and the weights that the adapter adds to')
    .option('--base-model <name>', 'base that adapter_config.json names (default: the name in the archive)')
    .addOption(
      new Option('--dtype <dtype>', 'dtype of the factors (default: f32)').choices(['f32', 'bf16', 'f16']),
    )
    .option('--drop', 'leave out what an adapter cannot hold (norms, added tensors, …), and list it')
    .option('--overwrite', 'replace an existing folder')
    .option('--json', 'print the result as one JSON document, and an error as one JSON object')
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ ere encode llama my-finetune -o my-finetune.ere --preset lora --rank 16\n' +
        '  $ ere export-lora my-finetune.ere --base llama -o adapter --dtype bf16 --drop',
    )
    .action(async (archive: string, flags: ExportLoraFlags) => {
      const options = withoutUndefined<ExportLoraOptions>({
        output: flags.output,
        base: flags.base,
        baseModel: flags.baseModel,
        dtype: flags.dtype && DTYPES[flags.dtype],
        drop: flags.drop,
        overwrite: flags.overwrite,
        signal: context.signal,
      });
      const { exportLora } = await context.loadOperations();
      const report = await exportLora(archive, options);
      if (flags.json) return await writeText(context.stdout, jsonText(report));
      await writeText(context.stderr, droppedText(report));
      await writeText(context.stdout, exportLoraReportText(report));
    });
}

const DTYPES = { f32: 'F32', bf16: 'BF16', f16: 'F16' } as const;

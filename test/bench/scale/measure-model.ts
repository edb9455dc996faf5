/** Everything that is measured on one pair of models, one after another. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { EncodeEstimate, EncodeReport, InspectReport } from '../../../src/residual/api.js';
import { BIN } from '../../helpers/project.js';
import { type ChosenTensor, chooseTensors } from './choose-tensors.js';
import { type CopyRun, measureDecodeRounds } from './decode-rounds.js';
import { gemmPeaks, readBandwidth, type ShapePeak, settleDisk, warmFiles, weightFiles } from './limits.js';
import { type MeasuredRun, median, runEre, timedProcess } from './measured-run.js';

/** The cap that encoding is given, as of the requirement. */
export const ENCODE_MEMORY = '3GiB';

export interface ModelPair {
  /** '1B'. */
  readonly label: string;
  readonly base: string;
  readonly fineTuned: string;
}

/** One archive: how it was written, and how it decodes. */
export interface ArchiveFigures {
  readonly encode: MeasuredRun;
  readonly report: EncodeReport;
  readonly peaks: readonly ShapePeak[];
  /** One a round, as the copies of the model. */
  readonly decodes: readonly MeasuredRun[];
  /** `ere inspect` of it, start-up included; median. */
  readonly inspectMs: number;
}

export interface TensorFigures extends ChosenTensor {
  /** Median. */
  readonly durationMs: number;
  readonly readByteLength: number | undefined;
}

export interface ModelFigures {
  readonly label: string;
  readonly parameterCount: number;
  /** Of the fine-tuned weight files. */
  readonly byteLength: number;
  readonly readBytesPerSecond: number;
  /** `cp` of the fine-tuned weights, one a round. */
  readonly copies: readonly CopyRun[];
  /** Of what held memory during the rounds; 0 for none. */
  readonly ballastByteLength: number;
  readonly byDefault: ArchiveFigures;
  readonly lowRank: ArchiveFigures;
  readonly dryRun: { readonly run: MeasuredRun; readonly estimate: EncodeEstimate };
  /** Single tensors out of the default archive. */
  readonly tensors: readonly TensorFigures[];
}

export interface MeasureOptions {
  /** On the disk of the models. */
  readonly folder: string;
  /** Of decoding and copying. */
  readonly rounds: number;
  /** Of runs that take under a second. */
  readonly shortRounds: number;
  /** As of measureDecodeRounds. */
  readonly ballastByteLength?: number | undefined;
  readonly diskByteLength: number;
  /** How long the peak of one shape is measured. */
  readonly peakMs: number;
  readonly signal: AbortSignal;
  readonly tell: (what: string, durationMs: number) => void;
}

/** Measures one pair; leaves nothing in the folder. */
export async function measureModel(pair: ModelPair, options: MeasureOptions): Promise<ModelFigures> {
  const { label, base, fineTuned } = pair;
  const { folder, peakMs, signal, tell } = options;
  const files = await weightFiles(fineTuned);
  const paths = { byDefault: join(folder, 'default.ere'), lowRank: join(folder, 'low-rank.ere') };
  const readBytesPerSecond = await readBandwidth(files[0]!.path);
  const encode = async (path: string, ...flags: string[]): Promise<MeasuredRun> => {
    await warmFiles(base);
    await warmFiles(fineTuned);
    await settleDisk(signal);
    const run = await runEre(['encode', base, fineTuned, '-o', path, '--memory', ENCODE_MEMORY, ...flags], {
      folder,
      countProducts: true,
      lastPhase: 'write',
      signal,
    });
    tell(`${label}: encode ${flags.join(' ')}`, run.durationMs);
    return run;
  };
  try {
    const byDefault = await encode(paths.byDefault, '--ratio', '6%');
    const lowRank = await encode(paths.lowRank, '--preset', 'lora', '--rank', '32');
    const dryRun = await encode(join(folder, 'dry-run.ere'), '--ratio', '6%', '--dry-run');
    const decodes = await measureDecodeRounds({
      ...options,
      base,
      fineTuned,
      byDefault: paths.byDefault,
      lowRank: paths.lowRank,
      tell: (what, durationMs) => tell(`${label}: ${what}`, durationMs),
    });
    const figuresOf = async (run: MeasuredRun, kind: 'byDefault' | 'lowRank'): Promise<ArchiveFigures> => ({
      encode: run,
      report: run.report as EncodeReport,
      peaks: await gemmPeaks(run.products, peakMs),
      decodes: decodes[kind],
      inspectMs: await binMs(['inspect', paths[kind]], options),
    });
    const report = byDefault.report as EncodeReport;
    return {
      label,
      parameterCount: report.tensors.reduce((sum, { shape }) => sum + shape.reduce((x, y) => x * y, 1), 0),
      byteLength: files.reduce((sum, { byteLength }) => sum + byteLength, 0),
      readBytesPerSecond,
      copies: decodes.copies,
      ballastByteLength: decodes.ballastByteLength,
      byDefault: await figuresOf(byDefault, 'byDefault'),
      lowRank: await figuresOf(lowRank, 'lowRank'),
      dryRun: { run: dryRun, estimate: dryRun.report as EncodeEstimate },
      tensors: await measureTensors(pair, paths.byDefault, options),
    };
  } finally {
    await Promise.all(Object.values(paths).map((path) => rm(path, { force: true })));
  }
}

/** The chosen tensors, each on its own, one after another in every round. */
async function measureTensors(
  { base, label }: ModelPair,
  archive: string,
  { folder, shortRounds, signal, tell }: MeasureOptions,
): Promise<TensorFigures[]> {
  const { stdout } = await timedProcess(process.execPath, [BIN, 'inspect', archive, '--json'], signal);
  const tensors = chooseTensors((JSON.parse(stdout) as InspectReport).tensors);
  const runs = tensors.map((): MeasuredRun[] => []);
  const output = join(folder, 'tensor.safetensors');
  await warmFiles(base);
  for (let round = 0; round < shortRounds; round++) {
    for (const [i, { name }] of tensors.entries()) {
      await settleDisk(signal);
      const argv = ['decode', base, archive, '-o', output, '--tensor', name, '--overwrite'];
      runs[i]!.push(await runEre(argv, { folder, lastPhase: 'finish', signal }));
    }
  }
  await rm(output, { force: true });
  return tensors.map((tensor, i) => {
    const durationMs = median(runs[i]!.map((run) => run.durationMs));
    tell(`${label}: decode --tensor ${tensor.name}`, durationMs);
    return { ...tensor, durationMs, readByteLength: runs[i]![0]!.readByteLength };
  });
}

type ShortRuns = Pick<MeasureOptions, 'shortRounds' | 'signal'>;

/** Median wall-clock time of `ere ARGUMENT…` as users start it, after one run that warms up. */
export async function binMs(argv: readonly string[], options: ShortRuns): Promise<number> {
  return processMs([BIN, ...argv], options);
}

/** The same of `node ARGUMENT…`. */
export async function processMs(
  argv: readonly string[],
  { shortRounds, signal }: ShortRuns,
): Promise<number> {
  await timedProcess(process.execPath, argv, signal);
  const durations: number[] = [];
  for (let round = 0; round < shortRounds; round++) {
    durations.push((await timedProcess(process.execPath, argv, signal)).durationMs);
  }
  return median(durations);
}

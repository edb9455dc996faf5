/** The results as Markdown: requirements, limits of the hardware, and a table of phases a run. */
import { formatByteLength, formatDuration, formatShare } from '../../../src/report/numbers.js';
import { markdownTable, paragraph, renderRequirements } from '../compression/markdown.js';
import type { CopyRun } from './decode-rounds.js';
import { meanPeak, type ShapePeak } from './limits.js';
import type { ArchiveFigures, ModelFigures } from './measure-model.js';
import { type MeasuredPhase, type MeasuredRun, median } from './measured-run.js';
import { medianMs, requirements, type ScaleResults } from './requirements.js';

export const SCALE_MARKS = ['<!-- scale -->', '<!-- /scale -->'] as const;

export interface ScaleDocument extends ScaleResults {
  /** The machine in general words, and the command. */
  readonly machine: string;
  /** Sentences about what was left out. */
  readonly notes: readonly string[];
}

/** The section of docs/benchmarks.md. */
export function renderScale(document: ScaleDocument): string {
  const { machine, notes, models } = document;
  return [
    '## Scale\n',
    paragraph(machine),
    paragraph(
      'Generated pairs (see below), bf16. Every run is a process of its own, and its time is from start to end; memory ' +
        'is the most that was resident. Bytes read and written are those of its system calls. Before a run what earlier ' +
        'ones wrote goes to the disk, and the files that the run reads are read once, unless they take more than ' +
        'half of the memory: those may come from the disk. `cp` and both decodings alternate, and times over `cp` are those of ' +
        'medians. Truncated against full SVD has its own section.',
    ),
    ...notes.map(paragraph),
    '### Requirements\n',
    renderRequirements(requirements(document)),
    ...models.map(renderModel),
  ].join('\n');
}

const right = (title: string) => ({ title, align: 'right' as const });
const rate = (perSecond: number): string => `${formatByteLength(perSecond)}/s`;
const gigaflops = (perSecond: number): string => `${(perSecond / 1e9).toFixed(0)} GFLOP/s`;
const mebibytes = (byteLength: number): string => `${(byteLength / 2 ** 20).toFixed(0)} MiB`;

function renderModel(model: ModelFigures): string {
  const { label, parameterCount, byteLength, copies, readBytesPerSecond, byDefault, lowRank, dryRun } = model;
  const copy = medianMs(copies);
  const { estimate } = dryRun;
  return [
    `### ${label}\n`,
    paragraph(
      `${parameterCount.toLocaleString('en-US')} parameters, ${formatByteLength(byteLength)} of fine-tuned weights. ` +
        `The limits: a warm file is read at ${rate(readBytesPerSecond)}; \`cp\` of the fine-tuned weights takes ` +
        `${formatDuration(copy)}, ${rate((1000 * byteLength) / copy)}, median of ${copies.length}.`,
    ),
    renderRuns(model),
    paragraph(
      `The default archive takes ${formatShare(byDefault.report.ratio)} of the weights at a relative error of ` +
        `${byDefault.report.relativeError.toFixed(3)}, where the dry run said ${formatShare(estimate.ratio)} at ` +
        `${estimate.relativeError.toFixed(3)}; the low-rank one ${formatShare(lowRank.report.ratio)} at ` +
        `${lowRank.report.relativeError.toFixed(3)}.`,
    ),
    renderRounds(model),
    renderPhases(model),
    renderProducts(model),
    renderTensors(model),
  ].join('\n');
}

function renderRuns(model: ModelFigures): string {
  const { byDefault, lowRank, dryRun, byteLength } = model;
  const row = (name: string, durationMs: number, processorMs: number, peakByteLength: number): string[] => [
    name,
    formatDuration(durationMs),
    formatDuration(processorMs),
    rate((1000 * byteLength) / durationMs),
    mebibytes(peakByteLength),
  ];
  const encodeRow = (name: string, { durationMs, processorMs, peakByteLength }: MeasuredRun): string[] =>
    row(name, durationMs, processorMs, peakByteLength);
  const decodeRow = (name: string, { decodes }: ArchiveFigures): string[] =>
    row(
      name,
      medianMs(decodes),
      median(decodes.map(({ processorMs }) => processorMs)),
      Math.max(...decodes.map(({ peakByteLength }) => peakByteLength)),
    );
  return markdownTable(
    [{ title: 'run' }, ...['time', 'processor time', 'fine-tuned weights', 'peak memory'].map(right)],
    [
      encodeRow('encode --ratio 6%', byDefault.encode),
      encodeRow('encode --preset lora --rank 32', lowRank.encode),
      encodeRow('encode --ratio 6% --dry-run', dryRun.run),
      decodeRow('decode the default archive', byDefault),
      decodeRow('decode the low-rank archive', lowRank),
    ],
  );
}

/** What was done to memory before every run, and how the runs came out. */
function renderRounds({ copies, byDefault, lowRank, ballastByteLength }: ModelFigures): string {
  const steady =
    ballastByteLength === 0
      ? 'Copies and decodings, round by round, in memory as they found it'
      : `Copies and decodings, round by round, all in the same state of memory: a process holds ` +
        `${formatByteLength(ballastByteLength)}, files of earlier runs fill the page cache, and right before ` +
        'each run the weights are copied once more and flushed, so that it writes into pages that were in use a ' +
        'moment ago';
  const cell = ({ durationMs, systemMs }: CopyRun): string =>
    `${formatDuration(durationMs)}, ${formatDuration(systemMs)}`;
  return [
    paragraph(`${steady}. Wall-clock time, and the part that the system worked:`),
    markdownTable(
      [{ title: 'round' }, ...['`cp`', 'decode, low-rank', 'decode, default'].map(right)],
      copies.map((copy, round) => [
        String(round + 1),
        cell(copy),
        cell(lowRank.decodes[round]!),
        cell(byDefault.decodes[round]!),
      ]),
    ),
  ].join('\n');
}

function renderPhases(model: ModelFigures): string {
  const { byDefault, lowRank, dryRun } = model;
  const rows = [
    ...phaseRows(model, 'encode', byDefault.encode, byDefault.peaks),
    ...phaseRows(model, 'encode, low-rank', lowRank.encode, lowRank.peaks),
    ...phaseRows(model, 'dry run', dryRun.run, byDefault.peaks),
    ...phaseRows(model, 'decode', middleRun(byDefault.decodes), []),
    ...phaseRows(model, 'decode, low-rank', middleRun(lowRank.decodes), []),
  ];
  const columns = [{ title: 'run' }, { title: 'phase' }];
  const numbers = ['time', 'read', 'of the limit', 'written', 'of `cp`', 'products', 'of the peak'];
  return markdownTable([...columns, ...numbers.map(right)], rows);
}

/** The run of median time; the faster one of two in the middle. */
function middleRun(runs: readonly MeasuredRun[]): MeasuredRun {
  return [...runs].sort((x, y) => x.durationMs - y.durationMs)[(runs.length - 1) >> 1]!;
}

/** A phase moves so little that its rate says nothing. */
const LEAST_BYTE_LENGTH = 1e6;
const LEAST_FLOPS = 1e9;
/** Phases that are over at once are left out. */
const LEAST_MS = 20;

function phaseRows(
  { readBytesPerSecond, byteLength, copies }: ModelFigures,
  name: string,
  { phases }: MeasuredRun,
  peaks: readonly ShapePeak[],
): string[][] {
  const peak = meanPeak(peaks);
  const copyRate = (1000 * byteLength) / medianMs(copies);
  const cells = (
    amount: number | undefined,
    least: number,
    phase: MeasuredPhase,
    limit: number | undefined,
  ) => {
    if (amount === undefined || amount < least) return undefined;
    const perSecond = (1000 * amount) / (phase.endMs - phase.startMs);
    return { perSecond, share: limit === undefined ? '–' : formatShare(perSecond / limit) };
  };
  return phases
    .filter(({ startMs, endMs }) => endMs - startMs >= LEAST_MS)
    .map((phase) => {
      const read = cells(phase.readByteLength, LEAST_BYTE_LENGTH, phase, readBytesPerSecond);
      const written = cells(phase.writtenByteLength, LEAST_BYTE_LENGTH, phase, copyRate);
      const products = cells(phase.flops, LEAST_FLOPS, phase, peak);
      return [
        name,
        phase.name,
        formatDuration(phase.endMs - phase.startMs),
        read === undefined ? '–' : rate(read.perSecond),
        read?.share ?? '–',
        written === undefined ? '–' : rate(written.perSecond),
        written?.share ?? '–',
        products === undefined ? '–' : gigaflops(products.perSecond),
        products?.share ?? '–',
      ];
    });
}

function renderProducts({ byDefault, lowRank }: ModelFigures): string {
  const rows = [['encode', byDefault] as const, ['encode, low-rank', lowRank] as const].flatMap(
    ([name, { encode, peaks }]) => {
      const total = encode.products.reduce((sum, { flops }) => sum + flops, 0);
      return peaks.map(({ kind, m, k, n, flops, peakFlopsPerSecond }) => [
        name,
        `${m} × ${k} × ${n}${kind === 'gram' ? ', float64' : ''}`,
        (flops / 1e9).toFixed(0),
        formatShare(flops / total),
        gigaflops(peakFlopsPerSecond),
      ]);
    },
  );
  if (rows.length === 0) return '';
  return [
    paragraph(
      'Shapes of the matrix products with the most operations, and their peak: one thread a core that does nothing else. ' +
        'Shares of the peak above are over the mean of these, weighted by time.',
    ),
    markdownTable(
      [{ title: 'run' }, right('m × k × n'), right('GFLOP'), right('share'), right('peak')],
      rows,
    ),
  ].join('\n');
}

function renderTensors({ tensors }: ModelFigures): string {
  return [
    paragraph('Single tensors out of the default archive; bytes read include the program itself.'),
    markdownTable(
      [{ title: 'tensor' }, ...['decoded', 'payload', 'time', 'read'].map(right)],
      tensors.map(({ name, byteLength, payloadByteLength, durationMs, readByteLength }) => [
        name,
        formatByteLength(byteLength),
        formatByteLength(payloadByteLength),
        formatDuration(durationMs),
        readByteLength === undefined ? '–' : formatByteLength(readByteLength),
      ]),
    ),
  ].join('\n');
}

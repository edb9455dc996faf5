/**
 * What has to be reached at scale, what this run reached, and whether that is enough. Truncated against full SVD is
 * measured by `npm run bench:svd`.
 */
import { formatDuration } from '../../../src/report/numbers.js';
import { type Requirement, requirement } from '../compression/requirements.js';
import type { ArchiveFigures, ModelFigures, TensorFigures } from './measure-model.js';
import { median } from './measured-run.js';

export interface StartUp {
  /** `ere --help`. */
  readonly helpMs: number;
  /** `node -e 0`, of which every start consists. */
  readonly bareMs: number;
}

export interface ScaleResults {
  /** In ascending size. */
  readonly models: readonly ModelFigures[];
  readonly startUp: StartUp;
}

type Bound = Parameters<typeof requirement>[0];

const GIB = 2 ** 30;
const gibibytes = (byteLength: number): string => `${(byteLength / GIB).toFixed(2)} GiB`;
const times = (ratio: number): string => `${ratio.toFixed(2)} ×`;
const milliseconds = (ms: number): string => `${ms.toFixed(0)} ms`;

/** Rows about 1B and 7B stand there whether or not they were measured; others where they were. */
export function requirements({ models, startUp }: ScaleResults): Requirement[] {
  const one = models.find(({ label }) => label === '1B');
  const seven = models.find(({ label }) => label === '7B');
  const bounds: Bound[] = [
    ...encodeBounds(one, seven),
    ...models.flatMap(decodeBounds),
    ...models.flatMap(tensorBounds),
    {
      what: '7B: `ere inspect` of the default archive, start-up included',
      kind: 'at most',
      limit: 200,
      value: seven?.byDefault.inspectMs,
      format: milliseconds,
    },
    {
      what: '`ere --help`',
      kind: 'at most',
      limit: 150,
      value: startUp.helpMs,
      format: milliseconds,
      detail: `\`node -e 0\` ${milliseconds(startUp.bareMs)}`,
    },
  ];
  return bounds.map(requirement);
}

/** Largest resident memory of all encodings. */
export function encodePeak(model: ModelFigures): number {
  const runs = [model.byDefault.encode, model.lowRank.encode, model.dryRun.run];
  return Math.max(...runs.map(({ peakByteLength }) => peakByteLength));
}

function encodeBounds(one: ModelFigures | undefined, seven: ModelFigures | undefined): Bound[] {
  const time = (model: ModelFigures | undefined): number | undefined => model?.byDefault.encode.durationMs;
  const memory = (model: ModelFigures | undefined): number | undefined => model && encodePeak(model);
  const [oneMs, sevenMs] = [time(one), time(seven)];
  const atMost = { kind: 'at most' } as const;
  return [
    { ...atMost, what: '1B: encode at 6 %', limit: 90_000, value: oneMs, format: formatDuration },
    { ...atMost, what: '1B: encode, resident', limit: 3 * GIB, value: memory(one), format: gibibytes },
    {
      ...atMost,
      what: '1B: encode `--preset lora --rank 32`',
      limit: 30_000,
      value: one?.lowRank.encode.durationMs,
      format: formatDuration,
    },
    {
      ...atMost,
      what: '7B: encode at 6 %, over the time of 1B',
      limit: 10,
      value: oneMs !== undefined && sevenMs !== undefined ? sevenMs / oneMs : undefined,
      format: times,
      detail: sevenMs === undefined ? undefined : formatDuration(sevenMs),
    },
    { ...atMost, what: '7B: encode, resident', limit: 3 * GIB, value: memory(seven), format: gibibytes },
  ];
}

/** Median time of decoding over that of the copies: all found memory in the same state. */
export function decodeOverCopy({ copies }: ModelFigures, { decodes }: ArchiveFigures): number {
  return medianMs(decodes) / medianMs(copies);
}

/** Of runs. */
export function medianMs(runs: readonly { readonly durationMs: number }[]): number {
  return median(runs.map(({ durationMs }) => durationMs));
}

function decodeBounds(model: ModelFigures): Bound[] {
  const { label, byDefault, lowRank, dryRun } = model;
  const decodes = [...byDefault.decodes, ...lowRank.decodes];
  const detail = ({ decodes: runs }: ArchiveFigures): string =>
    `${formatDuration(medianMs(runs))}, \`cp\` ${formatDuration(medianMs(model.copies))}`;
  return [
    {
      what: `${label}: decode the low-rank archive, over \`cp\``,
      kind: 'at most',
      limit: 4,
      value: decodeOverCopy(model, lowRank),
      format: times,
      detail: detail(lowRank),
    },
    {
      what: `${label}: decode the default archive, over \`cp\``,
      kind: 'at most',
      limit: 8,
      value: decodeOverCopy(model, byDefault),
      format: times,
      detail: detail(byDefault),
    },
    {
      what: `${label}: decode, resident`,
      kind: 'at most',
      limit: 2 * GIB,
      value: Math.max(...decodes.map(({ peakByteLength }) => peakByteLength)),
      format: gibibytes,
    },
    {
      what: `${label}: encode at 6 %, over the time of its dry run`,
      kind: 'at least',
      limit: 3,
      value: byDefault.encode.durationMs / dryRun.run.durationMs,
      format: times,
      detail: formatDuration(dryRun.run.durationMs),
    },
  ];
}

/** How much more than in proportion a large tensor may take. */
const PROPORTION = 1.25;

/** What a tensor takes beyond the smallest one of the model, whose run is all opening and starting. */
function tensorBounds({ label, tensors }: ModelFigures): Bound[] {
  const [smallest, middle, largest] = tensors;
  if (smallest === undefined || middle === undefined || largest === undefined) return [];
  const msPerByte = ({ durationMs, byteLength }: TensorFigures): number =>
    Math.max(0, durationMs - smallest.durationMs) / (byteLength - smallest.byteLength);
  const [middleRate, largestRate] = [msPerByte(middle), msPerByte(largest)];
  const sizes = tensors.map(({ byteLength }) => `${(byteLength / 1e6).toFixed(1)} MB`);
  return [
    {
      what: `${label}: one tensor, bytes read over those of base tensor and payload`,
      kind: 'at most',
      limit: PROPORTION,
      value: readOverNeeded(smallest, largest),
      format: times,
      detail: sizes.at(-1),
    },
    {
      what: `${label}: one tensor, time a byte over that of a smaller one`,
      kind: 'at most',
      limit: PROPORTION,
      value: middleRate === 0 ? undefined : largestRate / middleRate,
      format: times,
      detail: [middle, largest]
        .map(({ durationMs }, i) => `${sizes[i + 1]} ${formatDuration(durationMs)}`)
        .join(', '),
    },
  ];
}

function readOverNeeded(smallest: TensorFigures, largest: TensorFigures): number | undefined {
  if (smallest.readByteLength === undefined || largest.readByteLength === undefined) return undefined;
  const needed = ({ byteLength, payloadByteLength }: TensorFigures): number => byteLength + payloadByteLength;
  return (largest.readByteLength - smallest.readByteLength) / (needed(largest) - needed(smallest));
}

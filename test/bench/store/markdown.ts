/** The results as Markdown, against what has to be reached. */
import { formatShare } from '../../../src/report/numbers.js';
import { markdownTable, paragraph, renderRequirements } from '../compression/markdown.js';
import { type Requirement, requirement } from '../compression/requirements.js';
import { fitCost } from './fit-cost.js';
import type { ManyVersions } from './many-versions.js';
import { type Checkouts, type DecodeTime, THREADS } from './measure-checkouts.js';
import type { CommittedCheckpoint, CommittedRun, Drift } from './measure-run.js';

export const STORE_MARKS = ['<!-- store -->', '<!-- /store -->'] as const;

export interface StoreDocument {
  /** The machine in general words, and the command. */
  readonly machine: string;
  readonly lossless: CommittedRun;
  readonly checkouts: Checkouts;
  readonly drift: Drift;
  readonly manyVersions: readonly ManyVersions[];
}

const right = (title: string) => ({ title, align: 'right' as const });
const times = (ratio: number): string => `${ratio.toFixed(2)} ×`;
const milliseconds = (ms: number): string => `${ms.toFixed(0)} ms`;
const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
const count = (value: number): string => value.toLocaleString('en-US');

/** The section of docs/benchmarks.md. */
export function renderStore(document: StoreDocument): string {
  const { machine, lossless, drift, checkouts, manyVersions } = document;
  return [
    '## Store\n',
    paragraph(machine),
    paragraph(
      'The checkpoints of a training run (bf16), committed in order on top of their base. Stored bytes are those of all ' +
        'files of the store but caches. Processor time is of all threads, user and system, the least of alternating runs. ' +
        'Commands are processes of their own, from start to end, the median of nine.',
    ),
    '### Requirements\n',
    renderRequirements(requirements(document)),
    '### The run, lossless\n',
    renderRun(lossless.checkpoints),
    '### The run, lossy\n',
    paragraph(
      `The first version at 6 % of the weights, the others at the quantiser step that it came to, ${drift.step.toPrecision(4)}. ` +
        `All files take ${formatShare(drift.storedByteLength / bytesOf(drift.checkpoints))} of the checkpoints. The last ` +
        `one coded against the base at this step takes ${formatShare(drift.directRatio)}, at a relative error of ` +
        `${drift.directError.toFixed(4)}; the store gives it back at ${drift.chainError.toFixed(4)}.`,
    ),
    renderRun(drift.checkpoints),
    '### Decoding chains\n',
    renderTimes(checkouts),
    ...THREADS.flatMap((threads) => fitNote(checkouts, threads)),
    '### Many versions\n',
    renderCommands(manyVersions),
  ].join('\n');
}

function bytesOf(checkpoints: readonly CommittedCheckpoint[]): number {
  return checkpoints.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

export function requirements({ lossless, drift, checkouts, manyVersions }: StoreDocument): Requirement[] {
  const { direct, newest } = checkouts;
  const [few] = manyVersions;
  return [
    {
      what: 'a training run, lossless: all files of the store over the checkpoints',
      limit: 0.18,
      value: lossless.storedByteLength / bytesOf(lossless.checkpoints),
      format: percent,
    },
    {
      what: 'the run, lossy: error of the last version over that of coding it against the base',
      limit: 1.05,
      value: drift.chainError / drift.directError,
      format: (ratio: number) => ratio.toFixed(3),
    },
    ...THREADS.map((threads) => ({
      what: `checkout of the newest version over decode, processor time with ${threads === 1 ? '1 thread' : `${threads} threads`}`,
      limit: 2,
      value: newest.processorMs.get(threads)! / direct.processorMs.get(threads)!,
      format: times,
      detail: `${milliseconds(newest.processorMs.get(threads)!)}, ${milliseconds(direct.processorMs.get(threads)!)}`,
    })),
    ...(few?.commands ?? []).map(({ command, cachedMs, uncachedMs }) => ({
      what: `\`ere ${command}\` on ${count(few!.versionCount)} versions`,
      limit: 300,
      value: cachedMs,
      format: milliseconds,
      detail: `without the cache ${milliseconds(uncachedMs)}, \`node -e 0\` ${milliseconds(few!.bareMs)}`,
    })),
  ].map((bound) => requirement({ kind: 'at most', ...bound }));
}

function renderRun(checkpoints: readonly CommittedCheckpoint[]): string {
  return markdownTable(
    [
      { title: 'version' },
      { title: 'coded against' },
      right('bytes'),
      right('share'),
      right('relative error'),
      right('decode cost'),
      { title: 'candidates: expected share, decode cost' },
    ],
    checkpoints.map(({ name, reference, report, candidates }) => [
      name,
      reference,
      count(report.addedByteLength),
      percent(report.ratio),
      report.version.relativeError.toFixed(4),
      report.version.decodeCost.toFixed(2),
      candidates
        .map((candidate) => `${percent(candidate.expectedRatio)} ${candidate.decodeCost.toFixed(2)}`)
        .join(', '),
    ]),
  );
}

function renderTimes({ direct, newest, chain }: Checkouts): string {
  const rows: (readonly [string, DecodeTime])[] = [
    ['`ere decode` of a lossless archive', direct],
    ['newest version', newest],
    ...chain.map((time) => [`${time.name}, each against the one before`, time] as const),
  ];
  const share = ({ processorMs }: DecodeTime, threads: number): string =>
    times(processorMs.get(threads)! / direct.processorMs.get(threads)!);
  return markdownTable(
    [
      { title: 'what is decoded' },
      right('steps'),
      right('coded bytes'),
      right('expected cost'),
      ...THREADS.flatMap((threads) => [right(`${threads} threads`), right('over decode')]),
    ],
    rows.map(([what, time]) => [
      what,
      (time.cost.steppedElementCount / time.cost.elementCount).toFixed(2),
      count(time.cost.chainByteLength),
      times(time.decodeCost),
      ...THREADS.flatMap((threads) => [milliseconds(time.processorMs.get(threads)!), share(time, threads)]),
    ]),
  );
}

/** What the constants of decode-cost.ts would be by these measurements. */
function fitNote({ direct, newest, chain }: Checkouts, threads: number): string[] {
  const fitted = fitCost([direct, newest, ...chain], threads);
  if (fitted === undefined) return [];
  const { msPerMegabyte, stepBytesPerElement, outputBytesPerElement, worst } = fitted;
  return [
    paragraph(
      `Least squares with ${threads === 1 ? '1 thread' : `${threads} threads`}: ${msPerMegabyte.toFixed(1)} ms for a ` +
        `megabyte of coded bytes; a step of an element costs as much as ${stepBytesPerElement.toFixed(3)} bytes, an ` +
        `element of the result as ${outputBytesPerElement.toFixed(3)}; within ${percent(worst)} of each.`,
    ),
  ];
}

function renderCommands(manyVersions: readonly ManyVersions[]): string {
  return markdownTable(
    [
      { title: 'store' },
      { title: 'command' },
      right('with the cache'),
      right('without'),
      right('`node -e 0`'),
    ],
    manyVersions.flatMap(({ versionCount, tensorCount, changedCount, commands, bareMs }) =>
      commands.map(({ command, cachedMs, uncachedMs }) => [
        `${count(versionCount)} versions of ${tensorCount} tensors, ${changedCount} of them new in each`,
        `\`ere ${command}\``,
        milliseconds(cachedMs),
        milliseconds(uncachedMs),
        milliseconds(bareMs),
      ]),
    ),
  );
}

/** The results as Markdown, against what has to be reached. */
import { formatByteLength } from '../../../src/report/numbers.js';
import { markdownTable, paragraph, renderRequirements } from '../compression/markdown.js';
import { type Requirement, requirement } from '../compression/requirements.js';
import type { Load, LoadFigures } from './load.js';

export const SERVE_MARKS = ['<!-- serve -->', '<!-- /serve -->'] as const;

/** One tensor asked for by its range, before and after it is in the cache. */
export interface TensorTimes {
  readonly name: string;
  readonly byteLength: number;
  readonly coldMs: number;
  readonly warmFirstByteMs: number;
}

export interface ServeDocument {
  /** The machine in general words, and the command. */
  readonly machine: string;
  readonly label: string;
  readonly fileByteLength: number;
  /** Each in a server whose cache is empty, the smallest first. */
  readonly tensors: readonly TensorTimes[];
  /** All weight files one after another, cold and warm. */
  readonly wholeColdMs: number;
  readonly wholeWarmMs: number;
  readonly load: Load;
  /** One each round. */
  readonly served: readonly LoadFigures[];
  /** By what the static server reads at a time. */
  readonly statics: readonly { readonly name: string; readonly rounds: readonly LoadFigures[] }[];
  readonly peakByteLength: number | undefined;
}

const right = (title: string) => ({ title, align: 'right' as const });
const milliseconds = (ms: number): string => `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
const speed = (bytesPerSecond: number): string => `${(bytesPerSecond / 1e9).toFixed(2)} GB/s`;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((x, y) => x - y);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** The section of docs/benchmarks.md. */
export function renderServe(document: ServeDocument): string {
  const { machine, label, fileByteLength, tensors, wholeColdMs, wholeWarmMs, load } = document;
  const { clientCount, requestsPerClient, rangeByteLength } = load;
  return [
    '## Serve\n',
    paragraph(machine),
    paragraph(
      `A store with one version of ${label} parameters at 6 %; its weights are ${formatByteLength(fileByteLength)}. Servers and ` +
        'clients are processes on the same machine. A static server is `createReadStream` of Node, piped into the ' +
        'response, on the same bytes in one file.',
    ),
    '### Requirements\n',
    renderRequirements(requirements(document)),
    '### A range of one tensor\n',
    markdownTable(
      [{ title: 'tensor' }, right('bytes'), right('cold, all of it'), right('warm, first byte')],
      tensors.map(({ name, byteLength, coldMs, warmFirstByteMs }) => [
        `\`${name}\``,
        formatByteLength(byteLength),
        milliseconds(coldMs),
        milliseconds(warmFirstByteMs),
      ]),
    ),
    paragraph(
      `All of it by one client: ${(wholeColdMs / 1000).toFixed(1)} s with an empty cache, ${(wholeWarmMs / 1000).toFixed(1)} s from the cache.`,
    ),
    `### ${clientCount} clients\n`,
    paragraph(
      `Each asks for ${requestsPerClient} ranges of ${formatByteLength(rangeByteLength)} one after another, spread over all weights, ` +
        'which are in the cache; rounds alternate.',
    ),
    markdownTable(
      [
        { title: 'server' },
        ...document.served.map((_, i) => right(`round ${i + 1}`)),
        right('first byte, p99'),
        right('errors'),
      ],
      [
        loadRow('ere serve', document.served),
        ...document.statics.map(({ name, rounds }) => loadRow(name, rounds)),
      ],
    ),
  ].join('\n');
}

function loadRow(name: string, rounds: readonly LoadFigures[]): string[] {
  return [
    name,
    ...rounds.map(({ bytesPerSecond }) => speed(bytesPerSecond)),
    milliseconds(median(rounds.map(({ firstByteP99Ms }) => firstByteP99Ms))),
    String(rounds.reduce((sum, { errorCount }) => sum + errorCount, 0)),
  ];
}

function requirements({ tensors, served, statics, peakByteLength, load }: ServeDocument): Requirement[] {
  const throughput = (rounds: readonly LoadFigures[]): number =>
    median(rounds.map(({ bytesPerSecond }) => bytesPerSecond));
  const { clientCount } = load;
  const list = [
    {
      what: 'range of a tensor, warm: time to its first byte, the slowest tensor',
      limit: 200,
      value: Math.max(...tensors.map(({ warmFirstByteMs }) => warmFirstByteMs)),
      format: milliseconds,
    },
    {
      what: `${clientCount} clients: answers that were wrong or missing`,
      limit: 0,
      value: served.reduce((sum, { errorCount }) => sum + errorCount, 0),
      format: String,
    },
    ...statics.map(({ name, rounds }) => ({
      what: `${clientCount} clients: throughput of the ${name} over that of \`ere serve\``,
      limit: 2,
      value: throughput(rounds) / throughput(served),
      format: (ratio: number) => `${ratio.toFixed(2)} ×`,
    })),
  ];
  if (peakByteLength !== undefined) {
    list.push({
      what: `${clientCount} clients: resident memory of the server at most`,
      limit: 2 * 2 ** 30,
      value: peakByteLength,
      format: formatByteLength,
    });
  }
  return list.map((bound) => requirement({ kind: 'at most', ...bound }));
}

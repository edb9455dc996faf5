/** The results as Markdown: a table a pair, the requirements, and what they were measured with. */
import { formatDuration, formatShare } from '../../../src/report/numbers.js';
import { decibels } from './curve.js';
import type { Absence, Measurement, Pair } from './measure.js';
import { type Comparison, gainKept, type ModelQuality, type Requirement } from './requirements.js';
import { idealScalarBits } from './scalar-quantizer-bound.js';

export interface PairSection {
  readonly pair: Pick<Pair, 'kind' | 'title'>;
  /** What the pair is, in one paragraph. */
  readonly description: string;
  readonly measurements: readonly Measurement[];
  readonly absences: readonly Absence[];
  readonly quality?: ModelQuality | undefined;
}

export interface Column {
  readonly title: string;
  readonly align?: 'right';
}

/** A Markdown table with padded cells. @throws RangeError when a row has another number of cells than there are columns. */
export function markdownTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  for (const row of rows) {
    if (row.length !== columns.length) {
      throw new RangeError(`expected ${columns.length} cells in a row, got ${row.length}`);
    }
  }
  const cells = [columns.map(({ title }) => title), ...rows].map((row) =>
    row.map((cell) => cell.replaceAll('|', '\\|')),
  );
  const widths = columns.map((_, i) => Math.max(3, ...cells.map((row) => [...row[i]!].length)));
  const renderRow = (row: readonly string[]): string =>
    `| ${row
      .map((cell, i) => {
        const padding = ' '.repeat(widths[i]! - [...cell].length);
        return columns[i]!.align === 'right' ? padding + cell : cell + padding;
      })
      .join(' | ')} |`;
  // As the formatter writes it, so that written results pass the linter.
  const rule = `| ${widths
    .map((width, i) => (columns[i]!.align === 'right' ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width)))
    .join(' | ')} |`;
  return [renderRow(cells[0]!), rule, ...cells.slice(1).map(renderRow)].map((line) => `${line}\n`).join('');
}

const LINE_LENGTH = 120;

/** Prose in lines of at most 120 characters. */
export function paragraph(prose: string): string {
  const lines: string[] = [];
  for (const word of prose.split(' ')) {
    const longer = `${lines.at(-1)} ${word}`;
    if (lines.length > 0 && longer.length <= LINE_LENGTH) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** Heading, description and table of one pair. */
export function renderPairSection({
  pair,
  description,
  measurements,
  absences,
  quality,
}: PairSection): string {
  const evaluated = quality !== undefined;
  const withIdeal = pair.kind === 'gaussian';
  const withUlps = pair.kind === 'merged-lora';
  const columns: Column[] = [
    { title: 'method' },
    ...[
      'bytes',
      'share',
      'bits per weight',
      'relative error',
      'squared',
      'dB',
      ...(withIdeal ? ['ideal scalar'] : []),
      ...(withUlps ? ['same bits', 'within one ulp'] : []),
      ...(evaluated ? ['bits per byte', 'gain kept'] : []),
      'encode',
      'decode',
    ].map((title) => ({ title, align: 'right' as const })),
  ];
  const rows = measurements.map((point) => [
    point.method.name,
    point.byteLength.toLocaleString('en-US'),
    formatShare(point.share),
    point.bitsPerWeight < 0.1 ? point.bitsPerWeight.toFixed(4) : point.bitsPerWeight.toFixed(3),
    ...errorCells(point.squaredError),
    ...(withIdeal ? [idealScalarBits(point.squaredError).toFixed(3)] : []),
    ...(withUlps ? ulpCells(point.ulps) : []),
    ...(quality === undefined ? [] : qualityCells(point.bitsPerByte, quality)),
    formatDuration(point.encodeMs),
    formatDuration(point.decodeMs),
  ]);
  const notes = absences.map(({ method, reason }) => `- ${method.name}: not measured (${reason})\n`);
  return [
    `### ${pair.title}\n`,
    paragraph(description),
    markdownTable(columns, rows) + (notes.length === 0 ? '' : `\n${notes.join('')}`),
  ].join('\n');
}

function errorCells(squaredError: number): string[] {
  if (squaredError === 0) return ['exact', '0', '–'];
  return [Math.sqrt(squaredError).toFixed(4), squaredError.toFixed(4), decibels(squaredError).toFixed(2)];
}

function ulpCells({ equalShare, neighbourShare }: Measurement['ulps']): string[] {
  return [equalShare, neighbourShare].map((share) => `${(100 * share).toFixed(3)} %`);
}

function qualityCells(bitsPerByte: number | undefined, quality: ModelQuality): string[] {
  // What decodes bit for bit has the quality of the fine-tune.
  const bits = bitsPerByte ?? quality.fineTuned;
  return [bits.toFixed(4), `${(100 * gainKept(bits, quality)).toFixed(1)} %`];
}

/** Bits at equal errors, one line an error. */
export function renderComparisons(comparisons: readonly Comparison[]): string {
  const numbers = ['squared error', 'its bits per weight', 'bits of the default', 'ratio'];
  return markdownTable(
    [
      { title: 'pair' },
      { title: 'compared with' },
      ...numbers.map((title) => ({ title, align: 'right' as const })),
    ],
    comparisons.map(({ kind, reference, squaredError, referenceBits, bits, ratio, isBound }) => [
      kind,
      reference,
      squaredError.toFixed(4),
      referenceBits.toFixed(3),
      bits < 0.1 ? bits.toFixed(4) : bits.toFixed(3),
      `${isBound ? '< ' : ''}${(100 * ratio).toFixed(1)} %`,
    ]),
  );
}

export function renderRequirements(requirements: readonly Requirement[]): string {
  const columns = ['requirement', 'target', 'measured', ''].map((title) => ({ title }));
  return markdownTable(
    columns,
    requirements.map(({ what, target, measured, verdict }) => [what, target, measured, verdict]),
  );
}

export const MARKS = ['<!-- compression -->', '<!-- /compression -->'] as const;

/** The document with everything between the marks replaced. @throws Error when a mark is missing. */
export function replaceBetweenMarks(
  document: string,
  content: string,
  [first, last]: readonly [string, string] = MARKS,
): string {
  const start = document.indexOf(first);
  const end = document.indexOf(last);
  if (start < 0 || end < start) throw new Error(`expected the marks ${first} and ${last} in this order`);
  return `${document.slice(0, start + first.length)}\n\n${content.trim()}\n\n${document.slice(end)}`;
}

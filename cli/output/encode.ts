/** What `ere encode` prints: always what was kept and what was lost, in total and by tensor. */
import {
  formatByteLength,
  formatCount,
  formatDuration,
  formatRange,
  formatShare,
} from '../../src/report/numbers.js';
import { printable } from '../../src/report/printable.js';
import { renderTensorTable } from '../../src/report/tensor-table.js';
import type { EncodeEstimate, EncodeReport } from '../../src/residual/api.js';
import { lossText, nameList } from './summary.js';

/** The whole report; `each` lists every tensor instead of groups. */
export function encodeReportText(output: string, report: EncodeReport, each: boolean): string {
  return [
    encodeSummaryText(output, report),
    '\n',
    renderTensorTable(report.tensors, each),
    '\n',
    productText(report.productRanks),
    sideFileText(report),
    removedText(report.removed),
    `${methodText(report)}, ${formatDuration(report.durationMs)}\n`,
  ].join('');
}

/** That a LoRA was merged into the fine-tune, and recovered. */
function productText(ranks: readonly number[]): string {
  if (ranks.length === 0) return '';
  const range = formatRange(Math.min(...ranks), Math.max(...ranks), String);
  const matrices = ranks.length === 1 ? '1 matrix is' : `${ranks.length} matrices are`;
  return `${matrices} base + low-rank product, rounded (a merged LoRA): rank ${range}, recovered from the rounding\n`;
}

/** 'layerwise allocation, 4 bits per factor entry, matrix products by wasm'. */
function methodText({ preset, allocation, bits, gemmEngine }: EncodeReport): string {
  if (allocation === 'lossless') return 'lossless';
  const method = `${allocation} allocation${widthText(allocation, bits)}, matrix products by ${gemmEngine}`;
  return preset === undefined ? method : `preset ${preset}: ${method}`;
}

/** ', 4 bits per factor entry'; nothing where widths are not fixed. */
function widthText(allocation: EncodeReport['allocation'], bits: EncodeReport['bits']): string {
  if (bits === undefined) return '';
  const widths = typeof bits === 'number' ? formatCount(bits, 'bit') : `${bits} bits`;
  return `, ${widths} per ${allocation === 'signs' ? 'weight' : 'factor entry'}`;
}

/** One line: 'out.ere: 595 kB, 6.0 % of 9.91 MB; relative error 0.612, kept energy 62.5 %'. */
export function encodeSummaryText(output: string, report: EncodeReport): string {
  const size = `${formatByteLength(report.archiveByteLength)}, ${formatShare(report.ratio)} of ${formatByteLength(report.fineTunedByteLength)}`;
  return `${printable(output)}: ${size}; ${lossText(report.relativeError)}${lossyText(report)}\n`;
}

/** One line: 'out.ere would have about 595 kB, 6.0 % of 9.91 MB; relative error about 0.612 …; nothing is written'. */
export function estimateText(output: string, estimate: EncodeEstimate): string {
  const size = `${formatByteLength(estimate.archiveByteLength)}, ${formatShare(estimate.ratio)} of ${formatByteLength(estimate.fineTunedByteLength)}`;
  const duration = formatDuration(estimate.durationMs);
  return `${printable(output)} would have about ${size}; ${lossText(estimate.relativeError)}${lossyText(estimate)}; nothing was written, ${duration}\n`;
}

/** What the first part of an archive with exact terms on top is worth. */
function lossyText({ lossy }: Pick<EncodeReport, 'lossy'>): string {
  if (lossy === undefined) return '';
  return `; its first ${formatByteLength(lossy.byteLength)}, ${formatShare(lossy.ratio)}: ${lossText(lossy.relativeError)}`;
}

/** 'base: llama, 217 of 219 matrices agree within 3 %', where there was a choice; for stderr. */
export function chosenBaseText({
  base,
  baseCandidates,
}: Pick<EncodeReport, 'base' | 'baseCandidates'>): string {
  const because = baseCandidates?.[0]?.because;
  return because === undefined ? '' : `base: ${printable(base)}, ${printable(because)}\n`;
}

/** Warnings, one line each, for stderr. */
export function warningText(warnings: readonly string[]): string {
  return warnings.map((warning) => `warning: ${printable(warning)}\n`).join('');
}

function sideFileText({ sideFiles, skippedFiles }: EncodeReport): string {
  const describe = (from: 'archive' | 'base') =>
    sideFiles
      .filter((file) => file.from === from)
      .map((file) => `${file.path} (${formatByteLength(file.byteLength)})`);
  return [
    nameList('carried files', describe('archive'), Number.POSITIVE_INFINITY),
    nameList('files taken from the base', describe('base'), Number.POSITIVE_INFINITY),
    ...skippedFiles.map((file) => `left out: ${printable(file.path)}: ${printable(file.reason)}\n`),
  ].join('');
}

function removedText(removed: readonly string[]): string {
  return nameList('tensors of the base that the fine-tune does not have', removed);
}

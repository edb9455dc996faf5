/** What `ere export-lora` prints. */
import type { ExportLoraReport } from '../../src/export/peft.js';
import { formatByteLength, formatCount, formatDuration, formatRange } from '../../src/report/numbers.js';
import { printable } from '../../src/report/printable.js';

/** One line: 'adapter: 42 modules, rank 8–16, 1.2 MB, 0.3 s'. */
export function exportLoraReportText({ output, modules, byteLength, durationMs }: ExportLoraReport): string {
  const ranks = modules.map((module) => module.rank);
  const rank = formatRange(Math.min(...ranks), Math.max(...ranks), String);
  const size = `${formatCount(modules.length, 'module')}, rank ${rank}, ${formatByteLength(byteLength)}`;
  return `${printable(output)}: ${size}, ${formatDuration(durationMs)}\n`;
}

/** What the adapter lacks, one line each, for stderr. */
export function droppedText({ dropped }: ExportLoraReport): string {
  return dropped.map(({ name, reason }) => `dropped: ${printable(name)}: ${printable(reason)}\n`).join('');
}

/** What `ere export` prints. */
import { formatByteLength } from '../../src/report/numbers.js';
import { printable } from '../../src/report/printable.js';
import type { ExportReport } from '../../src/store/api.js';
import { versionName } from './version.js';

/** One line: 'chat.ere: chat 3f2a91c4, 284 kB, as the store has it'. */
export function exportReportText({ output, version, byteLength, isDirect }: ExportReport): string {
  const how = isDirect ? 'as the store has it' : 'coded again, losslessly, against the base alone';
  return `${printable(output)}: ${printable(versionName(version))}, ${formatByteLength(byteLength)}, ${how}\n`;
}

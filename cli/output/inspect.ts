/** What `ere inspect` prints: where an archive comes from, what it needs, and what it holds. */
import type { ArchiveIndex } from '../../formats/ere/archive-index.js';
import { formatByteLength, formatCount, formatShare } from '../../src/report/numbers.js';
import { printable } from '../../src/report/printable.js';
import { renderTensorTable } from '../../src/report/tensor-table.js';
import type { InspectReport } from '../../src/residual/api.js';
import { lossText, nameList } from './summary.js';

/** The whole report; `each` lists every tensor instead of groups. */
export function inspectReportText(report: InspectReport, each: boolean): string {
  const { index } = report;
  const decodedByteLength = index.files.reduce((sum, file) => sum + file.byteLength, 0);
  const share = decodedByteLength === 0 ? '' : `, ${formatShare(report.byteLength / decodedByteLength)} of`;
  const revision = index.base.revision === undefined ? '' : ` at ${index.base.revision}`;
  const options = Object.entries(index.encoding).map(([name, value]) => `${name} ${value}`);
  const facts: [string, string][] = [
    [
      'size',
      `${formatByteLength(report.byteLength)}${share} ${formatByteLength(decodedByteLength)} of weights`,
    ],
    ['loss', lossText(relativeErrorOf(index))],
    ['base', `${index.base.name}${revision}, ${formatCount(index.base.tensorCount, 'tensor')}`],
    ['base digest', index.base.digest],
    ['decoded digest', index.decoded.digest],
    ['codecs', index.codecs.join(', ')],
    ['encoded with', options.join(', ')],
    ['written by', index.generator],
  ];
  const width = Math.max(...facts.map(([name]) => name.length));
  return [
    `${printable(report.archive)}\n`,
    ...facts
      .filter(([, value]) => value !== '')
      .map(([name, value]) => `  ${name.padEnd(width)}  ${printable(value)}\n`),
    '\n',
    renderTensorTable(report.tensors, each),
    '\n',
    nameList(
      'weight files',
      index.files.map((file) => file.path),
    ),
    nameList('carried files', sidePaths(index, true)),
    nameList('files taken from the base', sidePaths(index, false)),
    nameList('tensors of the base that the fine-tune does not have', index.removed),
  ].join('');
}

/** ‖R − R̂‖ / ‖R‖ over the tensors that were coded with loss; 0 when none was. */
function relativeErrorOf(index: ArchiveIndex): number {
  let squaredError = 0;
  let squaredResidual = 0;
  for (const { quality } of index.tensors) {
    squaredError += quality?.squaredError ?? 0;
    squaredResidual += quality?.squaredResidual ?? 0;
  }
  return squaredError === 0 ? 0 : Math.sqrt(squaredError / squaredResidual);
}

function sidePaths(index: ArchiveIndex, carried: boolean): string[] {
  return index.sideFiles.filter((file) => (file.content !== undefined) === carried).map((file) => file.path);
}

/** What `ere inspect` prints: where an archive comes from, what it needs, and what it holds. */
import type { ArchiveIndex } from '../../formats/ere/archive-index.js';
import { lossyTensor, relativeError } from '../../formats/ere/levels.js';
import { formatByteLength, formatCount, formatRelativeError, formatShare } from '../../src/report/numbers.js';
import { printable } from '../../src/report/printable.js';
import { renderTable, type TableColumn } from '../../src/report/table.js';
import { renderTensorTable } from '../../src/report/tensor-table.js';
import type { InspectReport, UsablePrefix } from '../../src/residual/api.js';
import { lossText, nameList } from './summary.js';

const PREFIX_COLUMNS: readonly TableColumn[] = [
  { title: 'size', align: 'right' },
  { title: 'share', align: 'right' },
  { title: 'quality' },
  { title: 'relative error', align: 'right' },
  { title: '' },
];

/** The whole report; `each` lists every tensor instead of groups. */
export function inspectReportText(report: InspectReport, each: boolean): string {
  const { index } = report;
  const decodedByteLength = index.files.reduce((sum, file) => sum + file.byteLength, 0);
  const share = decodedByteLength === 0 ? '' : `, ${formatShare(report.byteLength / decodedByteLength)} of`;
  const revision = index.base.revision === undefined ? '' : ` at ${index.base.revision}`;
  const lossy = index.tensors.map(lossyTensor);
  const { squaredResidual } = index.decoded;
  const options = Object.entries(index.encoding).map(([name, value]) => `${name} ${value}`);
  const facts: [string, string][] = [
    [
      'size',
      `${formatByteLength(report.byteLength)}${share} ${formatByteLength(decodedByteLength)} of weights`,
    ],
    ['loss', lossText(relativeError(index.tensors, squaredResidual), isEstimated(index))],
    [
      'lossy level',
      index.decoded.lossyDigest === undefined ? '' : lossText(relativeError(lossy, squaredResidual)),
    ],
    ['base', `${index.base.name}${revision}, ${formatCount(index.base.tensorCount, 'tensor')}`],
    ['base digest', index.base.digest],
    ['decoded digest', index.decoded.digest],
    ['lossy digest', index.decoded.lossyDigest ?? ''],
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
    prefixText(report.prefixes, decodedByteLength),
    nameList(
      'weight files',
      index.files.map((file) => file.path),
    ),
    nameList('carried files', sidePaths(index, true)),
    nameList('files taken from the base', sidePaths(index, false)),
    nameList('tensors of the base that the fine-tune does not have', index.removed),
  ].join('');
}

/** Whether the loss of some tensor was estimated: the archive was truncated. */
function isEstimated({ tensors }: ArchiveIndex): boolean {
  return tensors.some(({ quality }) => quality?.estimated === true);
}

/** What the file is worth when it ends early; nothing where it cannot. */
function prefixText(prefixes: readonly UsablePrefix[], decodedByteLength: number): string {
  if (prefixes.length < 2) return '';
  const rows = prefixes.map(({ byteLength, quality, loss }) => [
    formatByteLength(byteLength),
    decodedByteLength === 0 ? '–' : formatShare(byteLength / decodedByteLength),
    quality,
    quality === 'exact' ? '0' : formatRelativeError(loss.relativeError ?? Number.NaN),
    loss.isEstimated ? 'estimated' : '',
  ]);
  return `usable prefixes\n${renderTable(PREFIX_COLUMNS, rows)}\n`;
}

function sidePaths(index: ArchiveIndex, carried: boolean): string[] {
  return index.sideFiles.filter((file) => (file.content !== undefined) === carried).map((file) => file.path);
}

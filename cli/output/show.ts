/** What `ere show` prints: where a version comes from, and what became of every tensor. */
import { formatByteLength, formatCount, formatRange, formatRelativeError } from '../../src/report/numbers.js';
import { printable } from '../../src/report/printable.js';
import { renderTable, type TableColumn } from '../../src/report/table.js';
import { extent, groupByPattern } from '../../src/report/tensor-groups.js';
import { shapesText } from '../../src/report/tensor-table.js';
import type { ShownTensor, ShowReport } from '../../src/store/api.js';
import { factLines } from './facts.js';
import { lossText, nameList } from './summary.js';
import { addedText, costText, referenceText, shortId, subjectOf, timeText, versionName } from './version.js';

/** The whole report; `each` lists every tensor instead of groups. */
export function showReportText({ version, encoding, tensors, sideFiles }: ShowReport, each: boolean): string {
  const body = version.message.split('\n').slice(1).join('\n').trim();
  return [
    `${printable(versionName(version))}\n`,
    factLines([
      ['message', subjectOf(version)],
      ...body.split('\n').map((line) => ['', line] as const),
      ['names', version.names.join(', ')],
      ['id', version.id],
      ['time', `${timeText(version.createdAt)} UTC`],
      [
        version.parents.length > 1 ? 'parents' : 'parent',
        version.parents.map((id) => shortId(id)).join(', '),
      ],
      ['base', version.base === undefined ? '' : `${version.base.name} (${shortId(version.base.id)})`],
      ['coded against', version.reference === undefined ? '' : referenceText(version)],
      ['decode cost', version.reference === undefined ? '' : costText(version.decodeCost)],
      ['added', addedText(version.addedByteLength, version.fineTunedByteLength)],
      ['loss', lossText(version.relativeError)],
      [
        'coded with',
        Object.entries(encoding)
          .map(([name, value]) => `${name} ${value}`)
          .join(', '),
      ],
      ['codecs', codecsOf(tensors)],
      ['digest', version.digest],
    ]),
    '\n',
    tensorTable(tensors, each),
    '\n',
    nameList(
      'side files',
      sideFiles.map(({ path, byteLength }) => `${path} (${formatByteLength(byteLength)})`),
    ),
    `${formatCount(tensors.length, 'tensor')}\n`,
  ].join('');
}

const COLUMNS: readonly TableColumn[] = [
  { title: 'tensor' },
  { title: 'count', align: 'right' },
  { title: 'shape' },
  { title: 'steps', align: 'right' },
  { title: 'bytes', align: 'right' },
  { title: 'error', align: 'right' },
];

/** One line a group of tensors alike, those of the base itself apart; with `each` a tensor, and its codecs. */
function tensorTable(tensors: readonly ShownTensor[], each: boolean): string {
  const groups = groupByPattern(
    tensors.map((tensor) => ({ ...tensor, case: tensor.isBase ? 'base' : 'own' })),
    each,
  );
  const rows = groups.map(({ pattern, case: from, tensors }) => [
    pattern,
    String(tensors.length),
    shapesText(tensors),
    formatRange(...extent(tensors.map((tensor) => tensor.depth)), String),
    from === 'base' ? '–' : formatByteLength(tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0)),
    formatRange(...extent(tensors.map((tensor) => tensor.relativeError)), (error) =>
      error === 0 ? 'exact' : formatRelativeError(error),
    ),
    ...(each ? [codecsOf(tensors)] : []),
  ]);
  return renderTable(each ? [...COLUMNS, { title: 'codecs' }] : COLUMNS, rows);
}

function codecsOf(tensors: readonly ShownTensor[]): string {
  return [...new Set(tensors.flatMap((tensor) => tensor.codecs))].join(', ');
}

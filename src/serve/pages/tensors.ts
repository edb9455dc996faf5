/** What became of the tensors of a version: groups alike, as `ere inspect` shows them, and every one. */
import { elementCount } from '../../../formats/dtype.js';
import { formatBits, formatByteLength, formatCount, formatRange } from '../../report/numbers.js';
import { extent, groupByPattern } from '../../report/tensor-groups.js';
import { shapesText } from '../../report/tensor-table.js';
import { errorText } from '../../report/version-phrases.js';
import type { ServedTensor } from '../catalog.js';
import { type Html, type HtmlValue, html } from './html.js';
import { byteCell, numberCell, type PageColumn, renderPageTable } from './table.js';

/** Rows of a table at most: a page of them takes about a megabyte. `ere inspect` and `ere show` list any number. */
export const MAX_TENSOR_ROWS = 5000;

const CASES: Readonly<Record<ServedTensor['case'], string>> = {
  base: 'as in base',
  added: 'added',
  exact: 'exact',
  lossy: 'lossy',
};

/** A section of the page. */
export function tensorSection(tensors: readonly ServedTensor[]): Html {
  const groups = groupByPattern(tensors);
  return html`<section aria-labelledby="tensors">
<h2 id="tensors">Tensors</h2>
${tensorTable('Tensors whose names differ in numbers only are one line', groups, tensors)}
<p class="note"><b>as in base</b>: the bytes of the base’s tensor. <b>added</b>: the base has none of this name.
<b>exact</b>: rebuilt bit for bit. <b>lossy</b>: rebuilt with the error that is stated,
‖W − Ŵ‖ / ‖W − W<sub>base</sub>‖. Ranges are the smallest and the largest of a line.</p>
${
  groups.length === tensors.length
    ? undefined
    : html`<details>
<summary>Each of the ${formatCount(tensors.length, 'tensor')}</summary>
${tensorTable('Every tensor by itself', groupByPattern(tensors, true))}
</details>`
}
</section>`;
}

interface TensorLine {
  readonly pattern: string;
  readonly case: ServedTensor['case'];
  readonly tensors: readonly ServedTensor[];
}

const COUNT: PageColumn = { title: 'count', align: 'right' };
const COLUMNS: readonly PageColumn[] = [
  { title: 'tensor' },
  { title: 'case' },
  COUNT,
  { title: 'dtype' },
  { title: 'shape' },
  { title: 'codecs' },
  { title: 'stored', align: 'right' },
  { title: 'bits/weight', align: 'right' },
  { title: 'relative error', align: 'right' },
];

/** @param all tensors to sum up below; their lines are groups */
function tensorTable(
  caption: string,
  groups: readonly TensorLine[],
  all?: readonly ServedTensor[],
): HtmlValue {
  const shown = groups.slice(0, MAX_TENSOR_ROWS);
  const isGrouped = all !== undefined;
  const rest = groups.length - shown.length;
  return [
    renderPageTable({
      caption,
      columns: COLUMNS.filter((column) => isGrouped || column !== COUNT),
      rows: shown.map((group) => tensorRow(group, isGrouped)),
      foot: all === undefined ? undefined : sumRow(all),
      className: 'tensors',
    }),
    rest === 0
      ? undefined
      : html`\n<p class="note">And ${formatCount(rest, 'more line')}, which <code>ere show</code> and <code>ere inspect</code> list.</p>`,
  ];
}

function tensorRow({ pattern, case: kind, tensors }: TensorLine, isGrouped: boolean): Html {
  const codecs = [...new Set(tensors.flatMap((tensor) => tensor.codecs))].join(', ');
  return html`<tr><th scope="row"><code>${pattern}</code></th><td>${CASES[kind]}</td>${
    isGrouped ? numberCell(tensors.length) : undefined
  }<td>${tensors[0]!.dtype}</td><td>${shapesText(tensors)}</td><td class="wrap">${codecs || '–'}</td>${
    kind === 'base' ? numberCell('–') : byteCell(storedByteLength(tensors))
  }${numberCell(kind === 'base' ? '–' : bitsText(tensors))}${numberCell(
    formatRange(...extent(tensors.map((tensor) => tensor.relativeError)), errorText),
  )}</tr>
`;
}

function sumRow(tensors: readonly ServedTensor[]): Html {
  const weights = tensors.reduce((sum, tensor) => sum + tensor.fineTunedByteLength, 0);
  return html`<tr><th scope="row" colspan="2">all, ${formatByteLength(weights)} of weights</th>${numberCell(
    tensors.length,
  )}<td colspan="3"></td>${byteCell(storedByteLength(tensors))}${numberCell(bitsOfAll(tensors))}<td></td></tr>`;
}

function storedByteLength(tensors: readonly ServedTensor[]): number {
  return tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
}

/** Smallest to largest; '–' where there are no weights. */
function bitsText(tensors: readonly ServedTensor[]): string {
  const bits = tensors.flatMap(({ shape, byteLength }) => {
    const elements = elementCount(shape);
    return elements === 0 ? [] : [(8 * byteLength) / elements];
  });
  return bits.length === 0 ? '–' : formatRange(...extent(bits), formatBits);
}

function bitsOfAll(tensors: readonly ServedTensor[]): string {
  const elements = tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return elements === 0 ? '–' : formatBits((8 * storedByteLength(tensors)) / elements);
}

/** The list of models: what there is, what it takes, and what it lost. */
import { formatCount, formatShare } from '../../report/numbers.js';
import { errorText } from '../../report/version-phrases.js';
import type { ServedModel } from '../catalog.js';
import { type Html, html } from './html.js';
import { link, renderPage } from './layout.js';
import { byteCell, numberCell, type PageColumn, renderPageTable, timeElement } from './table.js';
import { modelUrl } from './urls.js';
import { versionLink } from './versions.js';

export interface ModelsPage {
  readonly models: readonly ServedModel[];
  readonly generator: string;
}

const COLUMNS: readonly PageColumn[] = [
  { title: 'model' },
  { title: 'versions', align: 'right' },
  { title: 'base' },
  { title: 'weights', align: 'right' },
  { title: 'stored', align: 'right' },
  { title: 'share', align: 'right' },
  { title: 'relative error', align: 'right' },
  { title: 'newest version' },
  { title: 'time (UTC)' },
];

/** The page at `/`. */
export function modelsPage({ models, generator }: ModelsPage): string {
  const main = html`<h1>Models</h1>
<p class="lead">${formatCount(models.length, 'model')}</p>
${
  models.length === 0
    ? EMPTY
    : html`${renderPageTable({
        caption: 'Models by name; sizes and errors are those of the newest version',
        columns: COLUMNS,
        rows: models.map(modelRow),
      })}
<p class="note">Weights: what a download takes. Stored: what the newest version takes here, and its share of the
weights. Relative error: ‖W − Ŵ‖ / ‖W − W<sub>base</sub>‖ of what is served.</p>`
}`;
  return renderPage({ title: 'Models', main, generator });
}

function modelRow({ name, head, versionCount }: ServedModel): Html {
  const { fineTunedByteLength: weights, storedByteLength: stored } = head;
  return html`<tr><th scope="row">${link(modelUrl(name), name)}</th>${numberCell(versionCount)}<td>${
    head.base ?? '–'
  }</td>${byteCell(weights)}${byteCell(stored)}${numberCell(
    weights === 0 ? '–' : formatShare(stored / weights),
  )}${numberCell(errorText(head.relativeError))}<td class="title">${versionLink(name, head.id)} ${
    head.title
  }</td><td>${timeElement(head.createdAt)}</td></tr>
`;
}

const EMPTY: Html = html`<p>Nothing is stored here yet. Register the base, and commit a fine-tune of it as the first version of a
model:</p>
<pre><code>ere base add llama models/llama
ere commit my-finetune -m "first try" --model chat</code></pre>
<p>A folder of archives is served as well: <code>ere encode models/llama my-finetune -o chat.ere</code> makes
one.</p>`;

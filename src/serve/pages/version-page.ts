/** A version: where it comes from, what it takes, its files, and what became of its tensors. */
import { formatByteLength, formatCount } from '../../report/numbers.js';
import { addedText, lossText, shortId } from '../../report/version-phrases.js';
import type { ServedCommit, ServedFile, ServedVersion } from '../catalog.js';
import { downloadSection } from './download.js';
import { type Html, type HtmlValue, html, joined, lines } from './html.js';
import { link, renderPage } from './layout.js';
import { byteCell, factList, renderPageTable, timeElement } from './table.js';
import { tensorSection } from './tensors.js';
import { fileUrl, modelUrl } from './urls.js';
import { modelHeading, nameMarks, referenceMarkup, versionLink } from './versions.js';

export interface VersionPage {
  readonly version: Pick<ServedVersion, 'model' | 'commit' | 'files' | 'tensors'>;
  /** The model's, from its newest version: parents and children are looked up in it. */
  readonly history: readonly ServedCommit[];
  /** `http://host:port`, as clients reach the server. */
  readonly origin: string;
  readonly generator: string;
}

/** The page at `/{model}/tree/{commit}`. */
export function versionPage({ version, history, origin, generator }: VersionPage): string {
  const { model, commit, files, tensors } = version;
  const short = shortId(commit.id);
  const main = html`${modelHeading(model, html` <code class="id">${short}</code>`)}
${messageMarkup(commit)}
${factList(facts(model, commit, history))}
${fileSection(model, commit.id, files)}
${tensorSection(tensors)}
${downloadSection({ origin, model, revision: commit.id, files })}`;
  const trail = [{ text: model, url: modelUrl(model) }, { text: short }];
  return renderPage({ title: `${commit.title} · ${model} ${short}`, trail, main, generator });
}

function facts(model: string, commit: ServedCommit, history: readonly ServedCommit[]): [string, HtmlValue][] {
  const byId = new Map(history.map((each) => [each.id, each]));
  const parents = commit.parents.map((id) => relative(model, id, byId.get(id)));
  const children = history
    .filter((each) => each.parents.includes(commit.id))
    .map((each) => relative(model, each.id, each));
  const base = commit.reference === 'base' ? undefined : commit.base;
  return [
    ['names', commit.names.length === 0 ? undefined : nameMarks(commit.names)],
    ['id', html`<code>${commit.id}</code>`],
    ['time', [timeElement(commit.createdAt), ' UTC']],
    [parents.length > 1 ? 'parents' : 'parent', listOf(parents) ?? 'none'],
    [children.length > 1 ? 'children' : 'child', listOf(children)],
    ['model', commit.model === model ? undefined : link(modelUrl(commit.model), commit.model)],
    ['base', base],
    [
      'coded against',
      commit.reference === undefined ? 'nothing' : referenceMarkup(model, commit, (id) => byId.has(id)),
    ],
    [
      'weights',
      html`<span title="${formatCount(commit.fineTunedByteLength, 'byte')}">${formatByteLength(commit.fineTunedByteLength)}</span>`,
    ],
    ['stored', addedText(commit.storedByteLength, commit.fineTunedByteLength)],
    ['loss', lossText(commit.relativeError)],
  ];
}

/** A parent or child: linked where it belongs to the model's history. */
function relative(model: string, id: string, commit: ServedCommit | undefined): Html {
  if (commit === undefined) return html`<code>${shortId(id)}</code>`;
  return html`${versionLink(model, id)} ${commit.title}`;
}

function listOf(items: readonly Html[]): HtmlValue {
  return items.length === 0 ? undefined : joined(items, html`<br>`);
}

/** The title, and below it what else was said. */
function messageMarkup({ title, message }: ServedCommit): Html {
  const body = message.split('\n').slice(1).join('\n').trim();
  return html`<p class="subject">${title}</p>${
    body === '' ? undefined : html`\n<div class="message">${lines(body)}</div>`
  }`;
}

function fileSection(model: string, commit: string, files: readonly ServedFile[]): Html {
  const total = files.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const rows = files.map(
    ({ path, byteLength, digest }) =>
      html`<tr><th scope="row">${link(fileUrl(model, commit, path), html`<code>${path}</code>`)}</th>${byteCell(
        byteLength,
      )}<td>${digestMarkup(digest)}</td></tr>
`,
  );
  return html`<section aria-labelledby="files">
<h2 id="files">Files</h2>
${renderPageTable({
  caption: 'What a download gives, weights rebuilt',
  columns: [{ title: 'path' }, { title: 'size', align: 'right' }, { title: 'SHA-256' }],
  rows,
  className: 'files',
  foot: html`<tr><th scope="row">${formatCount(files.length, 'file')}</th>${byteCell(total)}<td></td></tr>`,
})}
</section>`;
}

/** All of it, which is what is copied; the style cuts what is shown. */
function digestMarkup(digest: string | undefined): HtmlValue {
  if (digest === undefined) {
    return html`<span class="quiet" title="Nobody has had this file whole yet; each of its tensors has a digest that is checked">not known yet</span>`;
  }
  const hex = digest.slice(digest.indexOf(':') + 1);
  return html`<code class="digest" title="${hex}">${hex}</code>`;
}

/** A model: its versions with their lineage, its branches and tags, and how to download it. */
import { formatByteLength, formatCount, formatShare } from '../../report/numbers.js';
import { drawVersionGraph } from '../../report/version-graph.js';
import { addedText, distinctDigits, errorText, lossText, shortId } from '../../report/version-phrases.js';
import type { CommitId, ServedCommit, ServedFile, ServedModel, ServedRefs } from '../catalog.js';
import { downloadSection } from './download.js';
import { type Html, type HtmlValue, html } from './html.js';
import { link, renderPage } from './layout.js';
import { drawLanes, laneCount, MAX_LANES } from './lineage.js';
import { PAGE_SIZE, pageCount, pageNavigation } from './paging.js';
import { byteCell, factList, numberCell, type PageColumn, renderPageTable, timeElement } from './table.js';
import { modelPageUrl, versionUrl } from './urls.js';
import { modelHeading, nameMarks, referenceMarkup, versionLink } from './versions.js';

export interface ModelPage {
  readonly model: ServedModel;
  readonly refs: ServedRefs;
  /** What the newest version descends from, itself included: children before parents. */
  readonly history: readonly ServedCommit[];
  /** Files of the newest version; none where it could not be opened. */
  readonly files: readonly Pick<ServedFile, 'path' | 'kind'>[];
  /** `http://host:port`, as clients reach the server. */
  readonly origin: string;
  /** Page of the history, from 1; the last one for more than there are. */
  readonly page?: number;
  readonly generator: string;
}

/** The page at `/{model}`. */
export function modelPage({ model, refs, history, files, origin, page = 1, generator }: ModelPage): string {
  const { name } = model;
  const last = pageCount(history.length);
  const current = Math.min(Math.max(1, page), last);
  const navigation = pageNavigation(current, last, (number) => modelPageUrl(name, number));
  const main = html`${modelHeading(name)}
${current === 1 ? introduction(model, refs, history, downloadSection({ origin, model: name, files })) : navigation}
<section aria-labelledby="versions">
<h2 id="versions">Versions</h2>
${versionTable(name, refs, history, current)}
${navigation}
</section>`;
  const title = current === 1 ? name : `${name}, page ${current}`;
  return renderPage({ title, trail: [{ text: name }], main, generator });
}

/** What is said of the model above its versions, on the first page of them. */
function introduction(
  { name, head }: ServedModel,
  refs: ServedRefs,
  history: readonly ServedCommit[],
  download: Html,
): Html {
  return html`${factList([
    ['newest', [versionLink(name, head.id), ' ', head.title, ', ', timeElement(head.createdAt), ' UTC']],
    ['base', head.base],
    ['weights', formatByteLength(head.fineTunedByteLength)],
    ['stored', addedText(head.storedByteLength, head.fineTunedByteLength)],
    ['loss', lossText(head.relativeError)],
    ['all versions', historyText(history)],
    ['branches', refLinks(name, refs.branches)],
    ['tags', refLinks(name, refs.tags)],
  ])}
<p>${link(versionUrl(name, head.id), 'Files and error table of the newest version')}</p>
${download}`;
}

/** '18 versions: 1.23 MB, 0.7 % of 178 MB'; of one version nothing that was not said. */
function historyText(history: readonly ServedCommit[]): HtmlValue {
  if (history.length < 2) return undefined;
  const weights = history.reduce((sum, commit) => sum + commit.fineTunedByteLength, 0);
  const stored = history.reduce((sum, commit) => sum + commit.storedByteLength, 0);
  return `${formatCount(history.length, 'version')}: ${addedText(stored, weights)}`;
}

/** Names and what they point at; nothing without any. */
function refLinks(model: string, refs: ServedRefs['tags']): HtmlValue {
  if (refs.length === 0) return undefined;
  return html`<ul class="refs">${refs.map(
    ({ name, commit }) => html`<li><span class="mark">${name}</span> ${versionLink(model, commit)}</li>`,
  )}</ul>`;
}

const COLUMNS: readonly PageColumn[] = [
  { title: 'lineage', isTitleHidden: true },
  { title: 'version' },
  { title: 'time (UTC)' },
  { title: 'title' },
  { title: 'model' },
  { title: 'coded against' },
  { title: 'stored', align: 'right' },
  { title: 'share', align: 'right' },
  { title: 'relative error', align: 'right' },
];

function versionTable(
  model: string,
  refs: ServedRefs,
  history: readonly ServedCommit[],
  page: number,
): HtmlValue {
  const first = (page - 1) * PAGE_SIZE;
  const shown = history.slice(first, first + PAGE_SIZE);
  const severalModels = new Set(history.map((commit) => commit.model)).size > 1;
  const drawing = drawVersionGraph(history);
  const lanes = laneCount(drawing.slice(first, first + PAGE_SIZE));
  const names = namesByCommit(model, refs, history);
  const known = new Set(history.map((commit) => commit.id));
  const digits = distinctDigits([...known]);
  const rows = shown.map((commit, i) => {
    const { id, fineTunedByteLength: weights, storedByteLength: stored } = commit;
    const drawn = drawLanes(drawing[first + i]!, drawing[first + i - 1] ?? '', lanes);
    return html`<tr><td class="lineage">${parentsText(commit, digits)}${drawn}</td><th scope="row">${versionLink(
      model,
      id,
      digits,
    )}</th><td>${timeElement(commit.createdAt)}</td><td class="title">${commit.title}${nameMarks([
      ...names.get(id)!,
    ])}</td>${severalModels ? html`<td>${commit.model}</td>` : undefined}<td>${referenceMarkup(
      model,
      commit,
      (reference) => known.has(reference),
      digits,
    )}</td>${byteCell(stored)}${numberCell(weights === 0 ? '–' : formatShare(stored / weights))}${numberCell(
      errorText(commit.relativeError),
    )}</tr>
`;
  });
  const all = formatCount(history.length, 'version');
  const part = shown.length === history.length ? all : `${first + 1} to ${first + shown.length} of ${all}`;
  return [
    renderPageTable({
      caption: `${part}, children before their parents`,
      columns: COLUMNS.filter(({ title }) => severalModels || title !== 'model'),
      rows,
    }),
    lanes > MAX_LANES
      ? html`\n<p class="note">${formatCount(lanes, 'line')} of descent run side by side here; the first ${MAX_LANES} are drawn.</p>`
      : undefined,
  ];
}

/** What the lanes show, for those who do not see them. */
function parentsText({ parents }: ServedCommit, digits: number): Html {
  const ids = parents.map((id) => shortId(id, digits));
  return html`<span class="hidden">${ids.length === 0 ? 'no parent' : `follows ${ids.join(', ')}`}</span>`;
}

/** What points at each version, once by name: branches, tags, and other models. */
function namesByCommit(model: string, refs: ServedRefs, history: readonly ServedCommit[]) {
  const names = new Map<CommitId, Set<string>>(
    history.map(({ id, names }) => [id, new Set(names.filter((name) => name !== model))]),
  );
  for (const { name, commit } of [...refs.branches, ...refs.tags]) names.get(commit)?.add(name);
  return names;
}

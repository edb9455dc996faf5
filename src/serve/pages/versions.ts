/** How pages say which version they speak of. */
import { shortId } from '../../report/version-phrases.js';
import type { ServedCommit } from '../catalog.js';
import { type Html, type HtmlValue, html } from './html.js';
import { link } from './layout.js';
import { versionUrl } from './urls.js';

/** The id's first digits, as a link to its page. @param digits default: those that tell most apart */
export function versionLink(model: string, id: string, digits?: number): Html {
  return link(versionUrl(model, id), html`<code>${shortId(id, digits)}</code>`);
}

/** Models and tags that point at a version. */
export function nameMarks(names: readonly string[]): HtmlValue {
  return names.map((name) => html` <span class="mark">${name}</span>`);
}

/** 'base llama', 'version 3f2a91c4' or '–'; a version of the model's own history is a link. */
export function referenceMarkup(
  model: string,
  { reference, base }: Pick<ServedCommit, 'reference' | 'base'>,
  isInHistory: (id: string) => boolean,
  digits?: number,
): HtmlValue {
  if (reference === undefined) return '–';
  if (reference === 'base') return base === undefined ? 'base' : `base ${base}`;
  const id = isInHistory(reference)
    ? versionLink(model, reference, digits)
    : html`<code>${shortId(reference, digits)}</code>`;
  return ['version ', id];
}

/** The name of a model, its owner less loud, and marks behind it. */
export function modelHeading(model: string, behind?: HtmlValue): Html {
  const end = model.lastIndexOf('/') + 1;
  const owner = end === 0 ? undefined : html`<span class="owner">${model.slice(0, end)}</span>`;
  return html`<h1>${owner}${model.slice(end)}${behind}</h1>`;
}

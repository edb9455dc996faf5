/** Long lists in pages that plain links lead through. */
import { Html, type HtmlValue, html } from './html.js';
import { link } from './layout.js';

/** Versions of a page: what a person looks through, and a browser shows at once. */
export const PAGE_SIZE = 100;

/** Page numbers from `?page=`: 1 for what is none. */
export function parsePageNumber(text: string | null | undefined): number {
  return /^[1-9]\d{0,8}$/.test(text ?? '') ? Number(text) : 1;
}

/** How many pages a list takes: at least one. */
export function pageCount(itemCount: number): number {
  return Math.max(1, Math.ceil(itemCount / PAGE_SIZE));
}

/** Links to the pages around, the first and the last; nothing where there is but one. */
export function pageNavigation(
  current: number,
  last: number,
  urlOf: (page: number) => string | undefined,
): HtmlValue {
  if (last === 1) return undefined;
  const step = (page: number, text: string, rel: 'prev' | 'next') =>
    page < 1 || page > last ? undefined : html`<li>${link(urlOf(page), text, html` rel="${rel}"`)}</li>\n`;
  const numbers = pagesShown(current, last).map((page, i, pages) => [
    i > 0 && page > pages[i - 1]! + 1 ? html`<li>…</li>\n` : undefined,
    html`<li>${link(urlOf(page), page, page === current ? CURRENT : undefined)}</li>\n`,
  ]);
  return html`<nav class="pages" aria-label="Pages of versions"><ol>
${step(current - 1, 'Newer', 'prev')}${numbers}${step(current + 1, 'Older', 'next')}</ol></nav>`;
}

const CURRENT = new Html(' aria-current="page"');

function pagesShown(current: number, last: number): number[] {
  const near = [current - 2, current - 1, current, current + 1, current + 2];
  return [...new Set([1, ...near.filter((page) => page > 1 && page < last), last])];
}

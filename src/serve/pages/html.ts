/**
 * Markup that cannot be injected into: the tag `html` escapes every value between its pieces. Values may stand where
 * text stands and inside quoted attributes, nowhere else.
 */
import { printable } from '../../report/printable.js';

/** Finished markup: goes into other markup as it is. */
export class Html {
  readonly markup: string;

  /** @param markup trusted: written by us, or escaped */
  constructor(markup: string) {
    this.markup = markup;
  }
}

/** What `html` takes: text is escaped, markup is not, lists are joined, undefined is nothing. */
export type HtmlValue = string | number | Html | undefined | readonly HtmlValue[];

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text for an element or a quoted attribute; controls and what reorders text are written as \u escapes, in one line. */
export function escapeHtml(text: string): string {
  return printable(text).replace(/[&<>"']/g, (sign) => ENTITIES[sign]!);
}

/** Markup with its values escaped. */
export function html(pieces: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  let markup = pieces[0]!;
  for (const [i, value] of values.entries()) markup += markupOf(value) + pieces[i + 1]!;
  return new Html(markup);
}

/** Items with something between them. */
export function joined(items: readonly HtmlValue[], separator: HtmlValue): HtmlValue {
  return items.map((item, i) => (i === 0 ? item : [separator, item]));
}

const LINE_BREAK = new Html('\n');

/** Text of several lines, for elements that keep line breaks (`white-space: pre-wrap`). */
export function lines(text: string): HtmlValue {
  return joined(text.split(/\r?\n/), LINE_BREAK);
}

function markupOf(value: HtmlValue): string {
  if (value === undefined) return '';
  if (value instanceof Html) return value.markup;
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return escapeHtml(value);
  return value.map(markupOf).join('');
}

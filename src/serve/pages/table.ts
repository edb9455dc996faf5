/** Tables: a caption, scoped headers, numbers at the right, in a container that scrolls where the window is narrow. */
import { formatByteLength, formatCount } from '../../report/numbers.js';
import { timeText } from '../../report/version-phrases.js';
import { Html, type HtmlValue, html } from './html.js';

export interface PageColumn {
  readonly title: string;
  /** Text reads from the left, numbers line up at the right. Default 'left'. */
  readonly align?: 'left' | 'right';
  /** For screen readers alone: the cells say it by their looks. */
  readonly isTitleHidden?: boolean;
}

export interface PageTable {
  readonly caption: string;
  readonly columns: readonly PageColumn[];
  /** `tr` elements. */
  readonly rows: readonly Html[];
  /** `tr` of sums. */
  readonly foot?: Html | undefined;
  readonly className?: string;
}

/** The table in its container. */
export function renderPageTable({ caption, columns, rows, foot, className }: PageTable): Html {
  const heads = columns.map(
    ({ title, align, isTitleHidden }) =>
      html`<th scope="col"${align === 'right' ? NUMBER : undefined}>${
        isTitleHidden ? html`<span class="hidden">${title}</span>` : title
      }</th>`,
  );
  return html`<div class="scroll" role="region" aria-label="${caption}" tabindex="0">
<table${className === undefined ? undefined : html` class="${className}"`}>
<caption><span>${caption}</span></caption>
<thead><tr>${heads}</tr></thead>
<tbody>
${rows}</tbody>${
    foot === undefined
      ? undefined
      : html`
<tfoot>${foot}</tfoot>`
  }
</table>
</div>`;
}

const NUMBER = new Html(' class="n"');

/** A number in its column. */
export function numberCell(text: HtmlValue, title?: string): Html {
  return html`<td class="n"${title === undefined ? undefined : html` title="${title}"`}>${text}</td>`;
}

/** A size in its column, exact to the byte where one points at it. */
export function byteCell(byteLength: number): Html {
  return numberCell(formatByteLength(byteLength), formatCount(byteLength, 'byte'));
}

/** A moment, in UTC. */
export function timeElement(createdAt: string): Html {
  return html`<time datetime="${createdAt}">${timeText(createdAt)}</time>`;
}

/** Named facts; those without a value are left out. */
export function factList(facts: readonly (readonly [name: string, value: HtmlValue])[]): Html {
  const known = facts.filter(([, value]) => value !== undefined);
  return html`<dl class="facts">
${known.map(
  ([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>
`,
)}</dl>`;
}

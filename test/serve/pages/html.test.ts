import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { printable } from '../../../src/report/printable.js';
import { escapeHtml, Html, html, joined, lines } from '../../../src/serve/pages/html.js';
import { renderPage } from '../../../src/serve/pages/layout.js';
import { elementsOf } from './markup.js';

const HOSTILE = [
  '<script>alert(1)</script>',
  '"',
  "'",
  '&amp;',
  '`',
  '</style>',
  '-->',
  'a\nb',
  '\u202e',
  '\0',
  '\ud800',
];
const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.array(fc.constantFrom(...HOSTILE)).map((parts) => parts.join('')),
);

describe('html', () => {
  test('values are text, whatever they hold', () => {
    const title = '<script>"\'&';
    expect(html`<a title="${title}">${title}</a>`.markup).toBe(
      '<a title="&lt;script&gt;&quot;&#39;&amp;">&lt;script&gt;&quot;&#39;&amp;</a>',
    );
  });

  test('markup stays markup, lists are joined, and undefined is nothing', () => {
    const item = (text: string) => html`<li>${text}</li>`;
    expect(html`<ul>${[item('a'), [item('<'), undefined], 3]}</ul>`.markup).toBe(
      '<ul><li>a</li><li>&lt;</li>3</ul>',
    );
    expect(html`${joined(['a', 'b'], new Html('<br>'))}`.markup).toBe('a<br>b');
  });

  test('what reorders text or ends a line is shown, not done', () => {
    expect(escapeHtml('a\u202eb\nc\u0000')).toBe('a\\u202eb\\u000ac\\u0000');
    expect(html`${lines('a\r\nb\u2028<c')}`.markup).toBe('a\nb\\u2028&lt;c');
  });

  test('any text is one piece of text and one value of an attribute, read back as it was printed', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const page = renderPage({ title: text, main: html`<p title="${text}">${text}</p>`, generator: text });
        const paragraph = elementsOf(page, 'p').find(({ attributes }) => 'title' in attributes)!;
        expect(paragraph.text).toBe(printable(text));
        expect(paragraph.attributes).toEqual({ title: printable(text) });
        expect(elementsOf(page, 'title')[0]!.text).toBe(`${printable(text)} · ERE`);
        expect(elementsOf(page, 'script')).toEqual([]);
      }),
    );
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { printable } from '../../../src/report/printable.js';
import { errorPage } from '../../../src/serve/pages/error-page.js';
import { modelPage } from '../../../src/serve/pages/model-page.js';
import { modelsPage } from '../../../src/serve/pages/models-page.js';
import { STYLE } from '../../../src/serve/pages/style.js';
import { versionPage } from '../../../src/serve/pages/version-page.js';
import { elementsOf, readMarkup } from './markup.js';
import { commitOf, fileOf, GENERATOR, idOf, modelOf, ORIGIN, tensorOf } from './samples.js';

/** Every page, with one text wherever a text may be foreign. */
function pagesWith(text: string): string[] {
  const foreign = { title: text, message: `${text}\n\n${text}`, model: text, names: [text], base: text };
  const history = [
    commitOf('second', ['first'], { ...foreign, createdAt: text }),
    commitOf('other', [], { ...foreign, model: 'other' }),
    commitOf('first', [], { ...foreign, reference: text }),
  ];
  const model = modelOf(text, history);
  const files = [fileOf(text), fileOf(text, { kind: 'weights', digest: undefined })];
  const tensors = [
    tensorOf(text, { codecs: [text] }),
    tensorOf('l.0.w', { case: 'base', codecs: [] }),
    tensorOf('l.1.w', { case: 'base', codecs: [] }),
  ];
  const refs = { branches: [{ name: text, commit: idOf('first') }], tags: [{ name: text, commit: text }] };
  const generator = text;
  return [
    modelsPage({ models: [model], generator }),
    modelsPage({ models: [], generator }),
    modelPage({ model, refs, history, files, origin: text, generator }),
    versionPage({
      version: { model: text, commit: history[0]!, files, tensors },
      history,
      origin: text,
      generator,
    }),
    versionPage({
      version: { model: text, commit: history[2]!, files, tensors },
      history,
      origin: text,
      generator,
    }),
    errorPage({ status: 404, title: text, message: text, generator }),
  ];
}

const HOSTILE = [
  '<script>alert(1)</script>',
  '"onmouseover="alert(1)',
  "' onload='alert(1)",
  'javascript:alert(1)',
  '//evil.example/x',
  '../../etc/passwd',
  'a\u202egpj.exe',
  'first\nsecond\r\nthird',
  '</style><style>*{display:none}</style>',
  '&lt;b&gt; &copy; &#60;',
  '<!--',
  ']]>',
  '\0\ud800\u001b[2J',
  '$(reboot) `reboot` ; reboot',
  '',
];
const hostileText = fc.oneof(
  fc.array(fc.constantFrom(...HOSTILE), { minLength: 1, maxLength: 3 }).map((parts) => parts.join('')),
  fc.string({ unit: 'binary', maxLength: 30 }),
);

/** What pages are made of. Anything else came from outside. */
const ELEMENTS = new Set(
  (
    'html head meta title style body header nav ol li a span main h1 h2 p b sub code div table caption thead tbody ' +
    'tfoot tr th td svg line circle time dl dt dd ul section pre details summary br footer'
  ).split(' '),
);
const ATTRIBUTES = new Set(
  (
    'lang charset name content href class title rel id scope role tabindex colspan datetime width height ' +
    'aria-label aria-labelledby aria-current aria-hidden x1 y1 x2 y2 cx cy r'
  ).split(' '),
);

function assertHarmless(page: string): void {
  const elements = readMarkup(page);
  for (const { name, attributes } of elements) {
    expect(ELEMENTS).toContain(name);
    for (const attribute of Object.keys(attributes)) expect(ATTRIBUTES).toContain(attribute);
    if (name !== 'a') continue;
    const url = new URL(attributes.href!, ORIGIN);
    expect(url.origin).toBe(ORIGIN);
    expect(url.pathname + url.search).toBe(attributes.href);
  }
  expect(elements.filter(({ name }) => name === 'style').map(({ text }) => text)).toEqual([STYLE]);
  const ids = elements.flatMap(({ attributes }) => attributes.id ?? []);
  expect(ids).toHaveLength(new Set(ids).size);
  // Nothing that moves a terminal's cursor or turns text around is sent.
  expect(page).toBe(page.split('\n').map(printable).join('\n'));
}

describe('every page', () => {
  test.each(HOSTILE)('with %j for every name is well-formed, and only says it', (text) => {
    for (const page of pagesWith(text)) assertHarmless(page);
  });

  test('with any text for every name is well-formed, and only says it', () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        for (const page of pagesWith(text)) assertHarmless(page);
      }),
      { numRuns: 20 },
    );
  });

  test('has a language, a title, a viewport, one heading of the first rank and one main part', () => {
    for (const page of pagesWith('chat')) {
      const elements = readMarkup(page);
      const count = (name: string) => elements.filter((element) => element.name === name).length;
      expect([count('h1'), count('main'), count('header'), count('footer'), count('title')]).toEqual([
        1, 1, 1, 1, 1,
      ]);
      expect(elements.find(({ name }) => name === 'html')!.attributes).toEqual({ lang: 'en' });
      expect(elements.some(({ attributes }) => attributes.name === 'viewport')).toBe(true);
    }
  });

  test('has tables with captions and scoped headers, each in a part that scrolls by itself', () => {
    for (const page of pagesWith('chat')) {
      const elements = readMarkup(page);
      const tables = elements.filter(({ name }) => name === 'table');
      expect(elements.filter(({ name }) => name === 'caption')).toHaveLength(tables.length);
      for (const table of tables) expect(table.within.at(-1)).toBe('div');
      for (const head of elements.filter(({ name }) => name === 'th')) {
        expect(head.attributes.scope).toBe(head.within.includes('thead') ? 'col' : 'row');
      }
    }
  });

  test('has rows with as many cells as its table has columns', () => {
    for (const page of pagesWith('chat')) {
      for (const table of page.split('<table').slice(1)) {
        const rows = table.slice(0, table.indexOf('</table>')).split('<tr>').slice(1);
        const widths = rows.map((row) => {
          const cells = [...row.matchAll(/<t[dh]\b([^>]*)>/g)];
          return cells.reduce((sum, cell) => sum + Number(/colspan="(\d+)"/.exec(cell[1]!)?.[1] ?? 1), 0);
        });
        expect(new Set(widths).size).toBe(1);
      }
    }
  });

  test('is the same for the same data', () => expect(pagesWith('chat')).toEqual(pagesWith('chat')));
});

test('an error page says what happened, line by line, and leads back', () => {
  const page = errorPage({
    status: 429,
    title: 'Too many requests',
    message: 'Wait a second.\nThen ask again.',
    generator: GENERATOR,
  });
  expect(elementsOf(page, 'title')[0]!.text).toBe('429 Too many requests · ERE');
  expect(elementsOf(page, 'h1')[0]!.text).toBe('Too many requests');
  expect(elementsOf(page, 'p').map(({ text }) => text)).toContain('Wait a second.\nThen ask again.');
  expect(elementsOf(page, 'a').map(({ attributes }) => attributes.href)).toEqual(['/', '/']);
});

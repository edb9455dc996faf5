/** What the pages say, and where their links lead. */
import { describe, expect, test } from 'vitest';
import type { ServedCommit } from '../../../src/serve/catalog.js';
import { modelPage } from '../../../src/serve/pages/model-page.js';
import { modelsPage } from '../../../src/serve/pages/models-page.js';
import { PAGE_SIZE, parsePageNumber } from '../../../src/serve/pages/paging.js';
import { MAX_TENSOR_ROWS } from '../../../src/serve/pages/tensors.js';
import { versionPage } from '../../../src/serve/pages/version-page.js';
import { elementsOf, readMarkup, words } from './markup.js';
import { commitOf, fileOf, GENERATOR, idOf, modelOf, ORIGIN, tensorOf } from './samples.js';

/** Cells of the rows of a page's nth table, its body alone. */
function cells(page: string, table = 0): string[][] {
  const markup = page.split('<table')[table + 1]!;
  const body = markup.slice(markup.indexOf('<tbody>'), markup.indexOf('</tbody>'));
  return body
    .split('</tr>')
    .slice(0, -1)
    .map((row) => readMarkup(`<!doctype html>\n${row.replace('<tbody>', '')}</tr>`))
    .map((elements) => elements.filter(({ name }) => name === 'td' || name === 'th').map(words));
}

const hrefs = (page: string) => elementsOf(page, 'a').map(({ attributes }) => attributes.href!);

/** Names and values of a page's list of facts. */
function facts(page: string): Record<string, string> {
  const named = readMarkup(page).filter(({ name }) => name === 'dt' || name === 'dd');
  return Object.fromEntries(
    named.flatMap((each, i) => (i % 2 === 0 ? [[words(each), words(named[i + 1])]] : [])),
  );
}

const code = (page: string) => elementsOf(page, 'code').map(({ text }) => text);

describe('the list of models', () => {
  const page = modelsPage({
    models: [
      modelOf('acme/chat', [commitOf('second', ['first']), commitOf('first')]),
      modelOf('whole', [commitOf('only', [], { base: undefined, relativeError: 0, fineTunedByteLength: 0 })]),
    ],
    generator: GENERATOR,
  });

  test('has a line a model: versions, base, sizes, share, error and the newest version', () => {
    expect(cells(page)).toEqual([
      [
        'acme/chat',
        '2',
        'llama',
        '9.91 MB',
        '687 kB',
        '6.9 %',
        '0.317',
        `${idOf('second').slice(0, 8)} second`,
        '2026-11-22 02:10',
      ],
      [
        'whole',
        '1',
        '–',
        '0 B',
        '687 kB',
        '–',
        'exact',
        `${idOf('only').slice(0, 8)} only`,
        '2026-11-22 02:10',
      ],
    ]);
  });

  test('leads to every model and its newest version', () => {
    expect(hrefs(page)).toEqual([
      '/',
      '/acme/chat',
      `/acme/chat/tree/${idOf('second')}`,
      '/whole',
      `/whole/tree/${idOf('only')}`,
    ]);
  });

  test('states sizes to the byte where one points at them, and moments for programs', () => {
    expect(elementsOf(page, 'td').map(({ attributes }) => attributes.title)).toContain('9,910,000 bytes');
    expect(elementsOf(page, 'time')[0]!.attributes).toEqual({ datetime: '2026-11-22T02:10:33.104Z' });
  });

  test('without models says how to commit one', () => {
    const empty = modelsPage({ models: [], generator: GENERATOR });
    expect(elementsOf(empty, 'table')).toEqual([]);
    expect(code(empty).join('\n')).toContain('ere commit my-finetune -m "first try" --model chat');
  });
});

/** n versions in a line, the newest first. */
function line(count: number): ServedCommit[] {
  return Array.from({ length: count }, (_, i) =>
    commitOf(`v${count - i}`, i === count - 1 ? [] : [`v${count - i - 1}`]),
  );
}

const NO_REFS = { branches: [], tags: [] };

function pageOf(
  history: readonly ServedCommit[],
  changes: Partial<Parameters<typeof modelPage>[0]> = {},
): string {
  const model = modelOf('acme/chat', history);
  return modelPage({
    model,
    refs: NO_REFS,
    history,
    files: [],
    origin: ORIGIN,
    generator: GENERATOR,
    ...changes,
  });
}

describe('the page of a model', () => {
  test('has a line a version, what it is coded against linked where it belongs to the history', () => {
    const history = [
      commitOf('third', ['second']),
      commitOf('second', ['first'], { reference: idOf('elsewhere'), relativeError: 0 }),
      commitOf('first', []),
    ];
    const page = pageOf(history);
    const short = (name: string) => idOf(name).slice(0, 8);
    expect(cells(page).map((row) => row.slice(1))).toEqual([
      [short('third'), '2026-11-22 02:10', 'third', `version ${short('second')}`, '687 kB', '6.9 %', '0.317'],
      [
        short('second'),
        '2026-11-22 02:10',
        'second',
        `version ${short('elsewhere')}`,
        '687 kB',
        '6.9 %',
        'exact',
      ],
      [short('first'), '2026-11-22 02:10', 'first', 'base llama', '687 kB', '6.9 %', '0.317'],
    ]);
    expect(hrefs(page)).toContain(`/acme/chat/tree/${idOf('second')}`);
    expect(hrefs(page).join()).not.toContain(idOf('elsewhere'));
  });

  test('writes as many digits as tell its versions apart', () => {
    const [one, two] = [`${'a'.repeat(12)}1${'0'.repeat(27)}`, `${'a'.repeat(12)}2${'0'.repeat(27)}`];
    const page = pageOf([
      commitOf('b', [], { id: one, reference: two, parents: [two] }),
      commitOf('a', [], { id: two }),
    ]);
    const row = cells(page)[0]!;
    expect([row[0], row[1], row[4]]).toEqual([
      `follows ${two.slice(0, 13)}`,
      one.slice(0, 13),
      `version ${two.slice(0, 13)}`,
    ]);
  });

  test('says the lineage in words too', () => {
    const page = pageOf([commitOf('c', ['b', 'a']), commitOf('b', ['a']), commitOf('a')]);
    const short = (name: string) => idOf(name).slice(0, 8);
    expect(cells(page).map((row) => row[0])).toEqual([
      `follows ${short('b')}, ${short('a')}`,
      `follows ${short('a')}`,
      'no parent',
    ]);
  });

  test('names the model of each version where there are several', () => {
    const page = pageOf([
      commitOf('b', ['a'], { model: 'acme/chat' }),
      commitOf('a', [], { model: 'acme/first' }),
    ]);
    expect(cells(page).map((row) => row[4])).toEqual(['acme/chat', 'acme/first']);
  });

  test('marks versions with what points at them, its own name aside, and lists branches and tags', () => {
    const history = [commitOf('b', ['a'], { names: ['acme/chat', 'other'] }), commitOf('a')];
    const refs = {
      branches: [{ name: 'main', commit: idOf('b') }],
      tags: [{ name: 'v1', commit: idOf('a') }],
    };
    const page = pageOf(history, { refs });
    expect(cells(page).map((row) => row[3])).toEqual(['b other main', 'a v1']);
    expect(facts(page)).toMatchObject({
      branches: `main ${idOf('b').slice(0, 8)}`,
      tags: `v1 ${idOf('a').slice(0, 8)}`,
      loss: 'relative error 0.317, kept energy 90.0 %',
      'all versions': '2 versions: 1.37 MB, 6.9 % of 19.8 MB',
    });
  });

  test('shows commands that download it from this server', () => {
    const page = pageOf([commitOf('a')], { files: [fileOf('config.json'), fileOf('w/model.safetensors')] });
    expect(code(page)).toEqual(
      expect.arrayContaining([
        `HF_ENDPOINT=${ORIGIN} hf download acme/chat`,
        'AutoModel.from_pretrained("acme/chat")',
        `curl --fail --location --remote-name ${ORIGIN}/acme/chat/resolve/main/w/model.safetensors`,
      ]),
    );
  });

  test('a foreign name in a command is one word of it', () => {
    const history = [commitOf('a')];
    const page = pageOf(history, { model: modelOf('a; reboot $(x)\'"', history), origin: 'http://h$(x)' });
    expect(code(page)).toContain(`HF_ENDPOINT='http://h$(x)' hf download 'a; reboot $(x)'\\''"'`);
    expect(code(page)).toContain(`AutoModel.from_pretrained("a; reboot $(x)'\\"")`);
  });
});

describe('a long history', () => {
  const history = line(1000);

  test('comes in pages whose links lead through all of it', () => {
    const met: string[] = [];
    let url: string | undefined = '/acme/chat';
    while (url !== undefined) {
      const query: string | null = new URL(url, ORIGIN).searchParams.get('page');
      const page = pageOf(history, { page: parsePageNumber(query) });
      const rows = cells(page);
      expect(rows).toHaveLength(PAGE_SIZE);
      met.push(...rows.map((row) => row[3]!));
      url = elementsOf(page, 'a').find(({ attributes }) => attributes.rel === 'next')?.attributes.href;
    }
    expect(met).toEqual(history.map(({ title }) => title));
  });

  test('says where one is, and how to get to the ends', () => {
    const page = pageOf(history, { page: 5 });
    expect(words(elementsOf(page, 'caption')[0])).toBe(
      '401 to 500 of 1,000 versions, children before their parents',
    );
    expect(words(elementsOf(page, 'title')[0])).toBe('acme/chat, page 5 · ERE');
    const navigation = elementsOf(page, 'nav').find(
      ({ attributes }) => attributes['aria-label'] !== 'Breadcrumb',
    );
    expect(words(navigation)).toBe('Newer 1 … 3 4 5 6 7 … 10 Older');
    expect(hrefs(page)).toEqual(
      expect.arrayContaining(['/acme/chat', '/acme/chat?page=4', '/acme/chat?page=10']),
    );
  });

  test('a page beyond the last one is the last one, and what is no number the first', () => {
    expect(pageOf(history, { page: 99 })).toBe(pageOf(history, { page: 10 }));
    expect(['0', '-1', 'x', '1e3', '', null, undefined, '9'.repeat(30)].map(parsePageNumber)).toEqual(
      Array.from({ length: 8 }, () => 1),
    );
    expect(parsePageNumber('12')).toBe(12);
  });

  test('a history of one page has no links to others', () => {
    expect(pageOf(line(PAGE_SIZE))).not.toContain('rel="next"');
    expect(pageOf(line(PAGE_SIZE + 1))).toContain('rel="next"');
  });
});

describe('the page of a version', () => {
  const history = [
    commitOf('child', ['middle']),
    commitOf('middle', ['first', 'gone'], { message: 'middle\n\nWhy:\n  <b>because</b>', names: ['v1'] }),
    commitOf('first'),
  ];
  const files = [
    fileOf('config.json', { byteLength: 681 }),
    fileOf('model.safetensors', { byteLength: 9_910_000, digest: undefined }),
  ];
  const layers = [0, 1, 2].map((i) =>
    tensorOf(`l.${i}.w`, { relativeError: 0.2 + i / 10, byteLength: 1000 * (i + 1) }),
  );
  const tensors = [
    ...layers,
    tensorOf('l.0.norm', { case: 'base', codecs: [], byteLength: 0, relativeError: 0, shape: [80] }),
    tensorOf('empty', { case: 'added', codecs: ['bytes'], byteLength: 0, relativeError: 0, shape: [0, 4] }),
    tensorOf('scale', { case: 'exact', codecs: ['interval'], byteLength: 2, relativeError: 0, shape: [] }),
  ];
  const version = { model: 'acme/chat', commit: history[1]!, files, tensors };
  const page = versionPage({ version, history, origin: ORIGIN, generator: GENERATOR });
  const short = (name: string) => idOf(name).slice(0, 8);

  test('says where it comes from and what follows it, linked where it is there', () => {
    expect(facts(page)).toMatchObject({
      id: idOf('middle'),
      names: 'v1',
      time: '2026-11-22 02:10 UTC',
      parents: `${short('first')} first${short('gone')}`,
      child: `${short('child')} child`,
      base: 'llama',
      'coded against': `version ${short('first')}`,
      stored: '687 kB, 6.9 % of 9.91 MB',
      loss: 'relative error 0.317, kept energy 90.0 %',
    });
    expect(hrefs(page)).toContain(`/acme/chat/tree/${idOf('first')}`);
    expect(hrefs(page).join()).not.toContain(idOf('gone'));
  });

  test('says all of the message, its line breaks kept', () => {
    const message = elementsOf(page, 'div').find(({ attributes }) => attributes.class === 'message');
    expect(message?.text).toBe('Why:\n  <b>because</b>');
  });

  test('lists files with links, sizes and digests whole', () => {
    const digest = fileOf('config.json').digest!.slice('sha256:'.length);
    expect(cells(page, 0)).toEqual([
      ['config.json', '681 B', digest],
      ['model.safetensors', '9.91 MB', 'not known yet'],
    ]);
    expect(hrefs(page)).toContain(`/acme/chat/resolve/${idOf('middle')}/model.safetensors`);
    expect(elementsOf(page, 'code').map(({ attributes }) => attributes.title)).toContain(digest);
  });

  test('groups tensors as ere inspect does, and sums them up', () => {
    const codecs = 'coded-low-rank, coded-dense';
    expect(cells(page, 1)).toEqual([
      ['l.*.w', 'lossy', '3', 'BF16', '100×80', codecs, '6.00 kB', '1–3', '0.200–0.400'],
      ['l.0.norm', 'as in base', '1', 'BF16', '80', '–', '–', '–', 'exact'],
      ['empty', 'added', '1', 'BF16', '0×4', 'bytes', '0 B', '–', 'exact'],
      ['scale', 'exact', '1', 'BF16', 'scalar', 'interval', '2 B', '16', 'exact'],
    ]);
    const [, sums] = elementsOf(page, 'tfoot');
    expect(words(sums)).toBe('all, 96.0 kB of weights66.00 kB1.99');
  });

  test('lists each tensor behind a line that opens', () => {
    expect(words(elementsOf(page, 'summary')[0])).toBe('Each of the 6 tensors');
    expect(cells(page, 2).map((row) => row[0])).toEqual(tensors.map(({ name }) => name));
  });

  test('names the commit in commands that download it', () => {
    expect(code(page)).toContain(`HF_ENDPOINT=${ORIGIN} hf download acme/chat --revision ${idOf('middle')}`);
  });

  test('with more tensors than a page shows says how many there are', () => {
    const many = Array.from({ length: MAX_TENSOR_ROWS + 2 }, (_, i) => tensorOf(`l.${i}.w`));
    const long = versionPage({
      version: { ...version, tensors: many },
      history,
      origin: ORIGIN,
      generator: GENERATOR,
    });
    expect(cells(long, 1)).toHaveLength(1);
    expect(long.match(/<tr>/g)!.length).toBeLessThan(MAX_TENSOR_ROWS + 20);
    expect(long).toContain('And 2 more lines,');
  });

  test('without tensors and files is a page all the same', () => {
    const bare = { ...version, files: [], tensors: [] };
    const empty = versionPage({ version: bare, history: [], origin: ORIGIN, generator: GENERATOR });
    expect(cells(empty, 0)).toEqual([]);
    expect(elementsOf(empty, 'details')).toEqual([]);
    expect(code(empty).join()).not.toContain('curl');
  });
});

/** Reading pages back, strictly: what a browser would see, and whether every element is closed where it should be. */

export interface PageElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Text within, entities resolved, that of its children too. */
  readonly text: string;
  /** Names of what it stands in, the outermost first. */
  readonly within: readonly string[];
}

/** Elements without content (html.spec.whatwg.org, 13.1.2). */
const VOID = new Set(['meta', 'br', 'hr', 'img', 'input', 'link', 'base', 'col', 'source', 'wbr']);
const TAG = /^<(\/?)([a-z][a-z0-9]*)((?:\s+[a-z][a-z0-9-]*="[^"<>]*")*)\s*(\/?)>/i;
const ATTRIBUTE = /([a-zA-Z][a-zA-Z0-9-]*)="([^"]*)"/g;
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };

/**
 * All elements, in the order that they end in.
 * @throws Error for a tag that is not plain, an element that is not closed in turn, or a sign that should be an entity
 */
export function readMarkup(page: string): PageElement[] {
  if (!page.startsWith('<!doctype html>\n')) throw new Error('no doctype');
  const elements: PageElement[] = [];
  const open: { name: string; attributes: Record<string, string>; text: string }[] = [];
  let at = '<!doctype html>'.length;
  while (at < page.length) {
    if (page[at] !== '<') {
      // A stylesheet is raw text.
      const end = open.at(-1)?.name === 'style' ? page.indexOf('</style', at) : page.indexOf('<', at);
      const raw = page.slice(at, end === -1 ? page.length : end);
      const text = open.at(-1)?.name === 'style' ? raw : resolveEntities(raw);
      for (const element of open) element.text += text;
      at += raw.length;
      continue;
    }
    const match = TAG.exec(page.slice(at, at + 20_000));
    if (match === null) throw new Error(`not a plain tag: ${page.slice(at, at + 80)}`);
    at += match[0].length;
    const [, closing, name, rest, selfClosing] = match;
    const within = open.map((element) => element.name);
    if (closing === '/') {
      const last = open.pop();
      if (last?.name !== name)
        throw new Error(`</${name}> closes <${last?.name}>: ${page.slice(at - 120, at)}`);
      elements.push({ ...last!, within: within.slice(0, -1) });
      continue;
    }
    const attributes: Record<string, string> = {};
    for (const [, key, value] of rest!.matchAll(ATTRIBUTE)) {
      if (Object.hasOwn(attributes, key!)) throw new Error(`${key} twice in <${name}>`);
      attributes[key!] = resolveEntities(value!);
    }
    if (selfClosing === '/' && !within.includes('svg')) throw new Error(`<${name}/> outside of a drawing`);
    if (selfClosing === '/' || VOID.has(name!)) elements.push({ name: name!, attributes, text: '', within });
    else open.push({ name: name!, attributes, text: '' });
  }
  if (open.length > 0) throw new Error(`<${open.at(-1)!.name}> is not closed`);
  return elements;
}

/** Elements of a name. */
export function elementsOf(page: string, name: string): PageElement[] {
  return readMarkup(page).filter((element) => element.name === name);
}

/** What a reader sees of it: words with single blanks between them. */
export function words(element: PageElement | undefined): string {
  if (element === undefined) throw new Error('no such element');
  return element.text.replace(/\s+/g, ' ').trim();
}

function resolveEntities(text: string): string {
  if (/&(?!(?:amp|lt|gt|quot|#39);)/.test(text)) throw new Error(`a bare &: ${text.slice(0, 80)}`);
  return text.replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => ENTITIES[name]!);
}

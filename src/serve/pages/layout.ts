/** What every page has: head, where one is, and who made it. No script, and nothing that is loaded from elsewhere. */
import { Html, type HtmlValue, html } from './html.js';
import { STYLE } from './style.js';

export interface PageLayout {
  /** Of the window, the name of what is shown. */
  readonly title: string;
  /** The way here from the list of models, the page itself last. */
  readonly trail?: readonly { readonly text: string; readonly url?: string | undefined }[];
  readonly main: HtmlValue;
  /** 'ere 0.1.0'. */
  readonly generator: string;
}

// Built apart: the Content-Security-Policy names the hash of exactly this text.
const STYLE_ELEMENT = new Html(`<style>${STYLE}</style>`);

/** The whole document. */
export function renderPage({ title, trail = [], main, generator }: PageLayout): string {
  const steps = [{ text: 'ERE', url: '/' }, ...trail];
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · ERE</title>
<meta name="generator" content="${generator}">
${STYLE_ELEMENT}
</head>
<body>
<header>
<nav aria-label="Breadcrumb"><ol>${steps.map(
    (step, i) => html`
<li>${link(step.url, step.text, i === trail.length ? CURRENT : undefined)}</li>`,
  )}
</ol></nav>
</header>
<main>
${main}
</main>
<footer><p>Served by ${generator}. Every tensor and file is checked against its SHA-256 before it is given out.</p></footer>
</body>
</html>
`.markup;
}

const CURRENT = new Html(' aria-current="page"');

/** A link, or what it would say where there is nothing to link to. @param attributes more of them */
export function link(url: string | undefined, content: HtmlValue, attributes?: Html): Html {
  return url === undefined
    ? html`<span${attributes}>${content}</span>`
    : html`<a href="${url}"${attributes}>${content}</a>`;
}

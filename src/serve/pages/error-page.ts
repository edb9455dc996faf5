/** What a person sees in place of a page. */
import { html, lines } from './html.js';
import { renderPage } from './layout.js';

export interface ErrorPage {
  /** Of HTTP: 404, 401, 429, 503, … */
  readonly status: number;
  /** 'Not found'. */
  readonly title: string;
  /** What happened, and what to do; may hold foreign names. */
  readonly message: string;
  readonly generator: string;
}

/** The page of any error. */
export function errorPage({ status, title, message, generator }: ErrorPage): string {
  const main = html`<p class="status">${status}</p>
<h1>${title}</h1>
<p class="message">${lines(message)}</p>
<p><a href="/">All models</a></p>`;
  return renderPage({ title: `${status} ${title}`, main, generator });
}

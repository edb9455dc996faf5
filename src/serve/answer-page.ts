/** Pages for people: which one an address is, and what is needed of the catalog for it. */
import { createHash } from 'node:crypto';
import { PACKAGE_NAME, PACKAGE_VERSION } from '../version.js';
import { type TextAnswer, text } from './answer.js';
import type { Asked } from './asked.js';
import type { Catalog, ServedRefs } from './catalog.js';
import { findCommit, openRevision, shown } from './find-model.js';
import { errorPage } from './pages/error-page.js';
import { modelPage } from './pages/model-page.js';
import { modelsPage } from './pages/models-page.js';
import { parsePageNumber } from './pages/paging.js';
import { STYLE } from './pages/style.js';
import { versionPage } from './pages/version-page.js';
import { type AnswerHeaders, Problem } from './problem.js';

const generator = `${PACKAGE_NAME} ${PACKAGE_VERSION}`;

/** Nothing but the page itself: no scripts, nothing from elsewhere, and no place inside of another page. */
const HEADERS = {
  'content-security-policy': `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  'referrer-policy': 'no-referrer',
};

/** Of a model that was removed a moment ago. */
const NO_REFS: ServedRefs = { branches: [], tags: [] };

/** Of HTTP, for headings. */
const TITLES: ReadonlyMap<number, string> = new Map([
  [400, 'Not understood'],
  [401, 'A token is needed'],
  [404, 'Not found'],
  [405, 'Read-only'],
  [421, 'Unknown name'],
  [429, 'Busy'],
]);

/**
 * `/`, `/MODEL`, `/MODEL/commits/…` and `/MODEL/tree/REVISION`.
 * @param model undefined for the list of models
 * @throws Problem 404
 */
export async function answerPage(
  asked: Asked,
  catalog: Catalog,
  model: string | undefined,
  [word, ...segments]: readonly string[],
): Promise<TextAnswer> {
  const models = await catalog.models();
  if (model === undefined) return page(modelsPage({ models, generator }));
  const { origin, query } = asked;
  const found = models.find(({ name }) => name === model);
  if (found === undefined) throw new Problem(404, `no model ${shown([model])} any more`);
  const history = await catalog.history(model, found.head.id);
  if (word === 'tree') {
    const { version, rest } = await openRevision(catalog, model, segments);
    if (rest.length > 0)
      throw new Problem(404, 'folders have no pages of their own: see the files of the version');
    return page(versionPage({ version, history, origin, generator }));
  }
  if (word === 'commits') {
    const { rest } = await findCommit(catalog, model, segments);
    if (rest.length > 0) throw new Problem(404, 'files have no history of their own: see the versions');
  }
  // What cannot be opened, as its base is not at hand, still has a history.
  const files = await catalog.open(model, found.head.id).then(
    (version) => version.files,
    () => [],
  );
  const number = parsePageNumber(query.get('page'));
  return page(
    modelPage({
      model: found,
      refs: (await catalog.refs(model)) ?? NO_REFS,
      history,
      files,
      origin,
      page: number,
      generator,
    }),
  );
}

export function problemPage({ status, message, headers }: Problem): TextAnswer {
  const title = TITLES.get(status) ?? (status >= 500 ? 'Something went wrong' : 'Not possible');
  return page(errorPage({ status, title, message, generator }), status, headers);
}

function page(body: string, status = 200, headers: AnswerHeaders = {}): TextAnswer {
  return text(body, 'text/html; charset=utf-8', status, { ...HEADERS, ...headers });
}

/** Which page an address is. */
import { type Answer, type TextAnswer, text } from './answer.js';
import type { Asked } from './asked.js';
import type { Catalog } from './catalog.js';
import type { Problem } from './problem.js';

export async function answerPage(
  _asked: Asked,
  catalog: Catalog,
  model: string | undefined,
  _rest: readonly string[],
): Promise<Answer> {
  return text(JSON.stringify([model, await catalog.models()]), 'text/plain; charset=utf-8');
}

export function problemPage({ status, message, headers }: Problem): TextAnswer {
  return text(message, 'text/plain; charset=utf-8', status, headers);
}

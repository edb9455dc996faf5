/** The real pair of test/fixtures/tinylm: a byte-level language model and its full fine-tune on Python source. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../test/fixtures/tinylm', import.meta.url));

/** Path inside the fixture: tinylm('base'), tinylm('eval', 'docs.bin'). */
export function tinylm(...parts: string[]): string {
  return join(ROOT, ...parts);
}

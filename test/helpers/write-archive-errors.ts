/** Script: writes the malformed archives of archive-errors.ts to test/golden-errors/ere/ of the repository. */
import { writeFileSync } from 'node:fs';
import { ARCHIVE_ERRORS } from './archive-errors.js';

for (const { name, bytes } of ARCHIVE_ERRORS) {
  writeFileSync(new URL(`../../../test/golden-errors/ere/${name}.ere`, import.meta.url), bytes);
}

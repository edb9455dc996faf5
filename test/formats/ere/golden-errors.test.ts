/** One committed malformed archive per rule: each is refused with its own class and message. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { bytesSource } from '../../../formats/byte-source.js';
import { openArchive } from '../../../formats/ere/open-archive.js';
import { isEreError } from '../../../formats/errors.js';
import { ARCHIVE_ERRORS, TEST_CODECS } from '../../helpers/archive-errors.js';

const folder = new URL('../../../../test/golden-errors/ere/', import.meta.url);

describe('malformed archives', () => {
  it('are committed, every one of them', () => {
    expect(readdirSync(folder).sort()).toEqual(ARCHIVE_ERRORS.map(({ name }) => `${name}.ere`).sort());
  });

  for (const { name, bytes, chunk, code, message } of ARCHIVE_ERRORS) {
    it(`${name} is refused with ${code}`, async () => {
      const committed = new Uint8Array(readFileSync(new URL(`${name}.ere`, folder)));
      expect(committed).toEqual(bytes);
      const archive = openArchive(bytesSource(`${name}.ere`, committed), { codecs: TEST_CODECS });
      const error = await (chunk === undefined ? archive : archive.then((a) => a.readChunk(chunk))).catch(
        (e) => e,
      );
      expect(error.message).toBe(message);
      expect(isEreError(error, code)).toBe(true);
    });
  }
});

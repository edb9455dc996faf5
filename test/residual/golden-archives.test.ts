/** Archives of version 1 decode to the same bytes for ever. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { KNOWN_CODECS } from '../../src/codecs/known-codecs.js';
import { decode, inspect } from '../../src/index.js';
import { digestOf } from '../helpers/archive-builder.js';
import { GOLDEN_ARCHIVES, goldenPath } from '../helpers/golden.js';
import { readFiles } from '../helpers/models.js';
import { listTree, withTempFolder } from '../helpers/temp-folder.js';
import { PATHS } from '../kernels/samples.js';

describe('golden archives', () => {
  it('are all listed, and hold every codec and every prediction between them', async () => {
    expect(readdirSync(goldenPath('..', 'v1')).sort()).toEqual(
      GOLDEN_ARCHIVES.map(({ name }) => name).sort(),
    );
    const reports = await Promise.all(
      GOLDEN_ARCHIVES.map(({ name }) => inspect(goldenPath(name, 'archive.ere'))),
    );
    const terms = reports.flatMap(({ index }) => index.tensors.flatMap((tensor) => tensor.terms));
    expect(new Set(terms.map(({ codec }) => codec))).toEqual(KNOWN_CODECS);
    expect(new Set(terms.map(({ params }) => params.predict))).toEqual(
      new Set([undefined, 'none', 'base', 'reconstruction']),
    );
    expect(new Set(terms.flatMap(({ params }) => params.encodings ?? []))).toEqual(
      new Set(['stored', 'deflate-raw']),
    );
  });

  for (const { name, archive, files } of GOLDEN_ARCHIVES) {
    for (const kernels of PATHS) {
      it(`${name} decodes to its digests, ${kernels}`, async () => {
        const path = goldenPath(name, 'archive.ere');
        expect(digestOf(readFileSync(path))).toBe(`sha256:${archive}`);
        await withTempFolder(async (folder) => {
          const output = join(folder, 'out');
          await decode(path, { base: goldenPath(name, 'base'), output, kernels, threads: 1 });
          const found = await readFiles(output, await listTree(output));
          const digests = [...found].map(([file, bytes]) => [file, digestOf(bytes).slice('sha256:'.length)]);
          expect(Object.fromEntries(digests)).toEqual(files);
        });
      });
    }
  }
});

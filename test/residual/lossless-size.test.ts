/** How small exact archives of the real pair are. */
import { stat } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { encode } from '../../src/residual/encode.js';
import { verify } from '../../src/residual/verify.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { tinylm } from '../helpers/tinylm.js';

test('lossless takes at most 48.5 % of the real fine-tune, index included, and gives it back', async () => {
  await withTempFolder(async (folder) => {
    const output = `${folder}/tuned.ere`;
    const base = tinylm('base');
    await encode(tinylm('python'), { base, output, lossless: true, sideFiles: false });
    const weights = await stat(tinylm('python', 'model.safetensors'));
    expect((await stat(output)).size / weights.size).toBeLessThan(0.485);
    const { comparison } = await verify(output, { base, against: tinylm('python') });
    expect(comparison).toMatchObject({ differentCount: 0 });
  });
});

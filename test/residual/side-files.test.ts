/** Files of the model folder that hold no weights: carried, shared with the base, or left out. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isEreError } from '../../formats/errors.js';
import { decode } from '../../src/index.js';
import { type Model, matrixPair, modelPair, readFiles, roundTrip } from '../helpers/models.js';
import { failsCleanly } from '../helpers/nothing-left.js';
import { listTree, withTempFolder } from '../helpers/temp-folder.js';
import { randomBytes } from '../kernels/samples.js';

const pair = modelPair([matrixPair('a', [30, 24], 1), matrixPair('b', [24, 30], 2)]);
const noise = randomBytes(4000, 9);
const base: Model = {
  ...pair.base,
  sideFiles: {
    'config.json': '{"layers": 2}',
    'tokenizer/vocab.txt': 'shared\n'.repeat(500),
    'tokenizer/merges.dat': noise,
    'only-base.txt': 'not of the fine-tune',
  },
};
const fineTuned: Model = {
  ...pair.fineTuned,
  sideFiles: {
    'config.json': '{"layers": 3}',
    'tokenizer/vocab.txt': 'shared\n'.repeat(500),
    'tokenizer/merges.dat': noise,
    'chat/templates/a.jinja': 'new\n'.repeat(300),
    'empty.txt': '',
  },
};
const budget = { kind: 'rank', rank: 1 } as const;

describe('side files', () => {
  it('come out to the byte: carried where they differ from the base, copied where they do not', async () => {
    await withTempFolder(async (folder) => {
      const trip = await roundTrip(folder, { base, fineTuned }, { budget });
      const paths = Object.keys(fineTuned.sideFiles!).sort();
      expect(await listTree(trip.output)).toEqual([...paths, 'model.safetensors'].sort());
      expect(await readFiles(trip.output, paths)).toEqual(await readFiles(trip.fineTuned, paths));
      expect(trip.report.sideFiles.map(({ path, from }) => [path, from])).toEqual([
        ['chat/templates/a.jinja', 'archive'],
        ['config.json', 'archive'],
        ['empty.txt', 'archive'],
        ['tokenizer/merges.dat', 'base'],
        ['tokenizer/vocab.txt', 'base'],
      ]);
      // 4,000 bytes of noise are not in it, and the template is deflated.
      expect(trip.report.archiveByteLength).toBeLessThan(3000);
    });
  });

  it('can be left out, at encode or at decode', async () => {
    await withTempFolder(async (folder) => {
      const without = await roundTrip(folder, { base, fineTuned }, { budget, sideFiles: false });
      expect(without.report.sideFiles).toEqual([]);
      expect(await listTree(without.output)).toEqual(['model.safetensors']);
    });
    await withTempFolder(async (folder) => {
      const trip = await roundTrip(folder, { base, fineTuned }, { budget }, { sideFiles: false });
      expect(await listTree(trip.output)).toEqual(['model.safetensors']);
    });
  });

  it('that a base lacks at decode are named, and the way around works', async () => {
    await withTempFolder(async (folder) => {
      const trip = await roundTrip(folder, { base, fineTuned }, { budget });
      await rm(join(trip.base, 'tokenizer/vocab.txt'));
      const options = { base: trip.base, output: join(folder, 'out'), threads: 1 };
      const error = await failsCleanly(folder, () => decode(trip.archive, options));
      expect(isEreError(error, 'ERE_NOT_FOUND')).toBe(true);
      expect(error.message).toContain('has no tokenizer/vocab.txt, which the archive takes from its base');
      expect(error.message).toContain('leave side files out');
      await decode(trip.archive, { ...options, sideFiles: false });
      const file = join(folder, 'weights.safetensors');
      await decode(trip.archive, { ...options, output: file });
    });
  });

  it('that a base has with other bytes are refused: the digest is the fine-tune´s', async () => {
    await withTempFolder(async (folder) => {
      const trip = await roundTrip(folder, { base, fineTuned }, { budget });
      await writeFile(
        join(trip.base, 'tokenizer/merges.dat'),
        noise.map((byte) => byte ^ 1),
      );
      const run = () => decode(trip.archive, { base: trip.base, output: join(folder, 'out'), threads: 1 });
      const error = await failsCleanly(folder, run);
      expect(isEreError(error, 'ERE_INTEGRITY')).toBe(true);
      expect(error.message).toContain('side file tokenizer/merges.dat');
    });
  });

  it('a sharded fine-tune brings its index, whatever the base looks like', async () => {
    await withTempFolder(async (folder) => {
      const sharded = { ...fineTuned, shards: [['a'], ['b']] };
      const trip = await roundTrip(folder, { base, fineTuned: sharded }, { budget });
      const index = ['model.safetensors.index.json'];
      expect(await readFiles(trip.output, index)).toEqual(await readFiles(trip.fineTuned, index));
      expect(trip.tensors.size).toBe(2);
    });
  });
});

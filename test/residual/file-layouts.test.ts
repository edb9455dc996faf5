/** Shards and single files on either side: the decoded files are the fine-tune´s. */
import { describe, expect, it } from 'vitest';
import { type Model, matrixPair, modelPair, readHeaders, roundTrip } from '../helpers/models.js';
import { countingBytes, type TensorToWrite } from '../helpers/safetensors-bytes.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { anchor, expectExact, expectLossy } from '../helpers/tensor-pairs.js';

describe('files', () => {
  const pairs = [matrixPair('a', [20, 24], 31), matrixPair('b', [24, 20], 32), anchor];
  const shards = [['b'], ['a', 'anchor']];
  const { base, fineTuned } = modelPair(pairs);
  const layouts: readonly (readonly [string, Model, Model])[] = [
    ['a sharded base and a single fine-tune', { ...base, shards }, fineTuned],
    ['a single base and a sharded fine-tune', base, { ...fineTuned, shards }],
    [
      'shards that are cut elsewhere',
      { ...base, shards: [['a'], ['b'], ['anchor']] },
      { ...fineTuned, shards },
    ],
  ];
  for (const [name, baseModel, fineTunedModel] of layouts) {
    it(`${name}: the decoded files are the fine-tune's, headers to the byte`, async () => {
      await withTempFolder(async (folder) => {
        const models = { base: baseModel, fineTuned: { ...fineTunedModel, metadata: { format: 'pt' } } };
        const trip = await roundTrip(folder, models, { budget: { kind: 'rank', rank: 2 } });
        const headers = await readHeaders(trip.output);
        expect(headers).toEqual(await readHeaders(trip.fineTuned));
        expect(headers.size).toBe(fineTunedModel.shards?.length ?? 1);
        for (const pair of pairs) expectLossy(trip, pair, 'residual');
      });
    });
  }

  it('tensors keep the order that the header gives them, though the index is by data', async () => {
    await withTempFolder(async (folder) => {
      const tensors = [countingBytes(8), countingBytes(4)].map(
        (data, i): TensorToWrite => ({ name: `t${1 - i}`, dtype: 'U8', shape: [data.length], data }),
      );
      const models = { base: { tensors }, fineTuned: { tensors: [...tensors].reverse() } };
      const trip = await roundTrip(folder, models, { budget: { kind: 'size', byteLength: 2000 } });
      expect(await readHeaders(trip.output)).toEqual(await readHeaders(trip.fineTuned));
      for (const tensor of tensors) expectExact(trip, tensor, 'identical');
    });
  });

  it('a model without tensors is one, too', async () => {
    await withTempFolder(async (folder) => {
      const empty = { base: { tensors: [] }, fineTuned: { tensors: [], metadata: { note: 'nothing' } } };
      const trip = await roundTrip(folder, empty, { budget: { kind: 'size', byteLength: 2000 } });
      expect(trip.report).toMatchObject({ relativeError: 0, tensors: [] });
      expect(await readHeaders(trip.output)).toEqual(await readHeaders(trip.fineTuned));
    });
  });
});

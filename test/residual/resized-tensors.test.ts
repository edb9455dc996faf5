/** Tensors that grew or shrank, from files to files. */
import { describe, expect, it } from 'vitest';
import { floatTensor, matrixPair, valuesOf } from '../helpers/models.js';
import type { TensorToWrite } from '../helpers/safetensors-bytes.js';
import { expectExact, expectLossy, normal, random, withRoundTrip } from '../helpers/tensor-pairs.js';

describe('resized', () => {
  const vocabulary = matrixPair('embed', [40, 24], 11);
  const rows = (tensor: TensorToWrite, count: number): TensorToWrite => ({
    ...tensor,
    shape: [count, ...tensor.shape.slice(1)],
    data: tensor.data!.subarray(0, (tensor.data!.byteLength / tensor.shape[0]!) * count),
  });

  it('grown rows keep every byte; the common rows are a residual', async () => {
    const base = rows(vocabulary.base, 33);
    const { fineTuned } = vocabulary;
    await withRoundTrip([{ base, fineTuned }], (trip) => {
      expectLossy(trip, { base, fineTuned }, 'resized');
      const start = 33 * 24 * 4;
      expect(trip.tensors.get('embed')!.subarray(start)).toEqual(fineTuned.data!.subarray(start));
      expect(trip.encoded.get('embed')!.codecs).toEqual(['low-rank', 'interval']);
    });
  });

  it('rows that only were added leave the trained ones as they are', async () => {
    const base = rows(vocabulary.fineTuned, 33);
    await withRoundTrip([{ base, fineTuned: vocabulary.fineTuned }], (trip) => {
      expectExact(trip, vocabulary.fineTuned, 'resized');
      expect(trip.encoded.get('embed')!.codecs).toEqual(['interval']);
    });
  });

  it('dropped rows are a residual of what is left', async () => {
    const fineTuned = rows(vocabulary.fineTuned, 30);
    await withRoundTrip([{ base: vocabulary.base, fineTuned }], (trip) => {
      expectLossy(trip, { base: rows(vocabulary.base, 30), fineTuned }, 'resized');
    });
  });

  it('grown and saved in another dtype', async () => {
    const base = floatTensor('embed', 'BF16', [33, 24], valuesOf(rows(vocabulary.base, 33)));
    await withRoundTrip([{ base, fineTuned: vocabulary.fineTuned }], (trip) => {
      expectLossy(trip, { base, fineTuned: vocabulary.fineTuned }, 'resized');
    });
  });

  it('vectors and integers that grew or shrank are exact', async () => {
    const pairs = [
      { base: normal('bias', 'F32', [5], 1), fineTuned: normal('bias', 'F32', [9], 2) },
      { base: normal('scale', 'F32', [9], 1), fineTuned: normal('scale', 'F32', [5], 2) },
      { base: random('table', 'I32', [3, 4], 48, 1), fineTuned: random('table', 'I32', [5, 4], 80, 2) },
      { base: random('codes', 'F4', [6, 3], 9, 1), fineTuned: random('codes', 'F4', [4, 3], 6, 2) },
    ];
    await withRoundTrip(pairs, (trip) => {
      expectExact(trip, pairs[0]!.fineTuned, 'vector');
      expectExact(trip, pairs[1]!.fineTuned, 'vector');
      expectExact(trip, pairs[2]!.fineTuned, 'exact');
      expectExact(trip, pairs[3]!.fineTuned, 'exact');
    });
  });

  it('a shape that differs elsewhere is stored whole, with a warning that names both', async () => {
    const fineTuned = normal('w', 'F32', [6, 5], 3);
    await withRoundTrip([{ base: normal('w', 'F32', [6, 4], 4), fineTuned }], (trip) => {
      expectExact(trip, fineTuned, 'added');
      expect(trip.report.warnings).toEqual([
        expect.stringMatching(/^w: base \[6,4\], fine-tuned \[6,5\]: .* stored whole$/),
      ]);
    });
  });
});

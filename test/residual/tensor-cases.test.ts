/** Tensors with a residual: every pair of dtypes, every shape, ties; and tensors that have none. From files to files. */
import { describe, expect, it } from 'vitest';
import type { FloatDtype } from '../../formats/dtype.js';
import { floatTensor, matrixPair, valuesOf } from '../helpers/models.js';
import type { TensorToWrite } from '../helpers/safetensors-bytes.js';
import {
  expectExact,
  expectLossy,
  identical,
  normal,
  type Pair,
  random,
  withRoundTrip,
} from '../helpers/tensor-pairs.js';

describe('identical', () => {
  it('tensors of every dtype cost nothing', async () => {
    const tensors = [
      normal('matrix', 'BF16', [8, 8], 1),
      normal('vector', 'F32', [9], 2),
      random('ids', 'I64', [3], 24),
      { name: 'empty', dtype: 'F32', shape: [0, 4], data: new Uint8Array(0) } as const,
      random('packed', 'F4', [3, 2], 3),
    ];
    await withRoundTrip(tensors.map(identical), (trip) => {
      for (const tensor of tensors) {
        expectExact(trip, tensor, 'identical');
        expect(trip.encoded.get(tensor.name)).toMatchObject({ byteLength: 0, codecs: [], rank: 0 });
      }
    });
  });

  it('NaN payloads and negative zeros included', async () => {
    const data = new Uint8Array(new Uint32Array([0x7f800001, 0x80000000, 0xffc12345, 0]).buffer);
    const tensor: TensorToWrite = { name: 'odd', dtype: 'F32', shape: [2, 2], data };
    await withRoundTrip([identical(tensor)], (trip) => expectExact(trip, tensor, 'identical'));
  });
});

describe('residual', () => {
  const dtypes: readonly (readonly [FloatDtype, FloatDtype])[] = [
    ['BF16', 'BF16'],
    ['F16', 'F16'],
    ['F32', 'F32'],
    ['F64', 'F64'],
    ['BF16', 'F32'],
    ['F32', 'BF16'],
    ['F16', 'BF16'],
    ['F32', 'F64'],
    ['F64', 'F16'],
    ['BF16', 'F8_E5M2'],
    ['F8_E4M3', 'F8_E4M3'],
  ];
  for (const [baseDtype, fineTunedDtype] of dtypes) {
    it(`${baseDtype} to ${fineTunedDtype} is coded with a stated loss, in the fine-tune's dtype`, async () => {
      const pair = matrixPair('w', [40, 36], 5, { strength: 0.4 });
      const base = floatTensor('w', baseDtype, [40, 36], valuesOf(pair.base));
      const fineTuned = floatTensor('w', fineTunedDtype, [40, 36], valuesOf(pair.fineTuned));
      await withRoundTrip([{ base, fineTuned }], (trip) => {
        expectLossy(trip, { base, fineTuned }, 'residual');
        expect(trip.encoded.get('w')).toMatchObject({ codecs: ['low-rank'], rank: 2, dtype: fineTunedDtype });
      });
    });
  }

  it('a convolution kernel is one matrix of output channels', async () => {
    const pair = matrixPair('conv', [16, 8, 3, 3], 6);
    await withRoundTrip([pair], (trip) => {
      expectLossy(trip, pair, 'residual');
      // One component: bits, gains, 16 and 72 codes of 8 bits.
      expect(trip.encoded.get('conv')).toMatchObject({ rank: 2, byteLength: 2 * (5 + 16 + 72) });
    });
  });

  it('a stack of experts has the rows of all of them', async () => {
    const pair = matrixPair('experts', [4, 12, 40], 7, { noise: 0.01 });
    await withRoundTrip([pair], (trip) => {
      expectLossy(trip, pair, 'residual');
      expect(trip.encoded.get('experts')).toMatchObject({ rank: 2, byteLength: 2 * (5 + 48 + 40) });
    });
  });

  it('values saved in another dtype without a change cost nothing', async () => {
    const base = normal('w', 'BF16', [12, 10], 8);
    const fineTuned = floatTensor('w', 'F32', [12, 10], valuesOf(base));
    await withRoundTrip([{ base, fineTuned }], (trip) => {
      expect(trip.tensors.get('w')).toEqual(fineTuned.data);
      expect(trip.encoded.get('w')).toMatchObject({ case: 'residual', byteLength: 0, relativeError: 0 });
    });
  });

  it('a budget that pays for it codes a residual exactly, and says so', async () => {
    const pair = matrixPair('w', [20, 24], 9, { dtype: 'BF16' });
    const options = { budget: { kind: 'max-error', relativeError: 0 } } as const;
    await withRoundTrip(
      [pair],
      (trip) => {
        expect(trip.tensors.get('w')).toEqual(pair.fineTuned.data);
        expect(trip.encoded.get('w')).toMatchObject({
          case: 'residual',
          codecs: ['bytes'],
          relativeError: 0,
        });
        expect(trip.report.relativeError).toBe(0);
      },
      options,
    );
  });

  it('a difference that float32 does not see is kept exactly', async () => {
    const values = Float64Array.from({ length: 12 }, (_, i) => 1 + i);
    const bytes = (change: number) => new Uint8Array(values.map((value) => value + change).buffer);
    const base: TensorToWrite = { name: 'w', dtype: 'F64', shape: [3, 4], data: bytes(0) };
    const doubled: TensorToWrite = {
      ...base,
      data: new Uint8Array(values.map((x) => x * (1 + 2 ** -50)).buffer),
    };
    const signed = floatTensor('z', 'F32', [2, 2], [0, 1, 2, 3]);
    const flipped = floatTensor('z', 'F32', [2, 2], [-0, 1, 2, 3]);
    await withRoundTrip(
      [
        { base, fineTuned: doubled },
        { base: signed, fineTuned: flipped },
      ],
      (trip) => {
        expect(trip.tensors.get('z')).toEqual(flipped.data);
        const found = new Float64Array(trip.tensors.get('w')!.slice().buffer);
        for (const [i, value] of values.entries()) {
          expect(Math.abs(found[i]! - value * (1 + 2 ** -50))).toBeLessThanOrEqual(value * 2 ** -50);
        }
        expect(Number.isFinite(trip.encoded.get('w')!.relativeError)).toBe(true);
      },
    );
  });

  it('where only another dtype hides the difference, it is kept exactly too', async () => {
    // The residual in float32 is 0, yet the base's values are not the fine-tune's.
    const base = floatTensor('w', 'F32', [2, 2], [1, 2, 3, 4]);
    const fineTuned: TensorToWrite = {
      name: 'w',
      dtype: 'F64',
      shape: [2, 2],
      data: new Uint8Array(Float64Array.of(1 + 2 ** -40, 2, 3, 4).buffer),
    };
    const zeros = floatTensor('z', 'BF16', [2, 2], [-0, 1, 2, 3]);
    const positive = floatTensor('z', 'F32', [2, 2], [0, 1, 2, 3]);
    await withRoundTrip(
      [
        { base, fineTuned },
        { base: zeros, fineTuned: positive },
      ],
      (trip) => {
        expectExact(trip, fineTuned, 'exact');
        expectExact(trip, positive, 'exact');
      },
    );
  });
});

describe('tied tensors', () => {
  it('are stored once, decoded each, and counted each in the loss', async () => {
    const pair = matrixPair('embed', [40, 36], 21);
    const tied = { base: { ...pair.base, name: 'head' }, fineTuned: { ...pair.fineTuned, name: 'head' } };
    const extra = normal('extra', 'F32', [3, 100], 3);
    const twice: Pair[] = [{ fineTuned: extra }, { fineTuned: { ...extra, name: 'copy' } }];
    let single = 0;
    await withRoundTrip([pair, twice[0]!], (trip) => {
      single = trip.report.archiveByteLength;
    });
    await withRoundTrip([pair, tied, ...twice], (trip) => {
      expect(trip.tensors.get('head')).toEqual(trip.tensors.get('embed'));
      expect(trip.tensors.get('copy')).toEqual(extra.data);
      expectLossy(trip, tied, 'residual');
      // Two more records in the index, no payload.
      expect(trip.report.archiveByteLength - single).toBeLessThan(500);
    });
  });

  it('equal bytes in another dtype are another tensor', async () => {
    const bytes = normal('x', 'F16', [6, 6], 4).data!;
    const fineTuned = normal('x', 'F32', [6, 6], 5);
    const pairs: Pair[] = [
      { base: { name: 'x', dtype: 'F16', shape: [6, 6], data: bytes }, fineTuned },
      {
        base: { name: 'y', dtype: 'BF16', shape: [6, 6], data: bytes },
        fineTuned: { ...fineTuned, name: 'y' },
      },
    ];
    await withRoundTrip(
      pairs,
      (trip) => {
        expectLossy(trip, pairs[0]!, 'residual');
        expectLossy(trip, pairs[1]!, 'residual');
      },
      { budget: { kind: 'rank', rank: 5 }, bits: 12, force: true },
    );
  });
});

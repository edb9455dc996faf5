/** Tensors that are kept to the byte, whatever the budget, from files to files. */
import { describe, expect, it } from 'vitest';
import type { Dtype } from '../../formats/dtype.js';
import { floatTensor, matrixPair } from '../helpers/models.js';
import type { TensorToWrite } from '../helpers/safetensors-bytes.js';
import { expectExact, normal, type Pair, random, withRoundTrip } from '../helpers/tensor-pairs.js';

describe('exact', () => {
  it('vectors of every float dtype, scalars and single rows keep every byte', async () => {
    const shapes: readonly (readonly number[])[] = [[7], [], [1, 7], [7, 1], [1, 1, 7]];
    const pairs = (['F64', 'F32', 'F16', 'BF16', 'F8_E4M3', 'F8_E5M2'] as const).flatMap((dtype, i) =>
      shapes.map((shape, k) => ({
        base: normal(`${dtype}.${k}`, dtype, shape, 2 * i + k),
        fineTuned: normal(`${dtype}.${k}`, dtype, shape, 50 + 2 * i + k),
      })),
    );
    await withRoundTrip(pairs, (trip) => {
      for (const { fineTuned } of pairs) expectExact(trip, fineTuned, 'vector');
    });
  });

  it('changed integers, booleans, complex and packed values keep every byte', async () => {
    const dtypes = {
      I64: 8,
      I32: 4,
      I16: 2,
      I8: 1,
      U64: 8,
      U32: 4,
      U16: 2,
      U8: 1,
      BOOL: 1,
      C64: 8,
      F8_E8M0: 1,
      F8_E4M3FNUZ: 1,
      F8_E5M2FNUZ: 1,
      F4: 0.5,
      F6_E2M3: 0.75,
      F6_E3M2: 0.75,
    } as const;
    const pairs = Object.entries(dtypes).map(([dtype, width], i) => ({
      base: random(dtype, dtype as Dtype, [6, 8], 48 * width, i),
      fineTuned: random(dtype, dtype as Dtype, [6, 8], 48 * width, 100 + i),
    }));
    await withRoundTrip(pairs, (trip) => {
      for (const { fineTuned } of pairs) expectExact(trip, fineTuned, 'exact');
    });
  });

  it('a single changed integer costs a few bytes, not the tensor', async () => {
    const base = random('ids', 'I32', [40, 50], 8000);
    const data = base.data!.slice();
    data[4444]! ^= 1;
    await withRoundTrip([{ base, fineTuned: { ...base, data } }], (trip) => {
      expectExact(trip, { ...base, data }, 'exact');
      expect(trip.encoded.get('ids')!.byteLength).toBeLessThan(64);
    });
  });

  it('packed rows that share bytes are one row', async () => {
    const pair = { base: random('w', 'F4', [3, 2, 1], 3, 1), fineTuned: random('w', 'F4', [3, 2, 1], 3, 2) };
    await withRoundTrip([pair], (trip) => expectExact(trip, pair.fineTuned, 'exact'));
  });

  for (const side of ['base', 'fineTuned'] as const) {
    it(`values that are not finite in the ${side === 'base' ? 'base' : 'fine-tune'} make a matrix exact`, async () => {
      const pair = matrixPair('w', [9, 8], 12);
      const odd = pair[side].data!.slice();
      odd.set([0x01, 0x00, 0x80, 0x7f], 20); // a NaN with a payload
      odd.set([0x00, 0x00, 0x80, 0xff], 40); // −∞
      const changed = { ...pair, [side]: { ...pair[side], data: odd } };
      await withRoundTrip([changed], (trip) => {
        expectExact(trip, changed.fineTuned, 'exact');
        const { relativeError } = trip.encoded.get('anchor')!;
        expect(trip.report.relativeError).toBeCloseTo(relativeError, 5);
      });
    });
  }

  it('a residual over float32 makes a matrix exact', async () => {
    const base = floatTensor('w', 'F32', [2, 2], [3e38, 1, 2, 3]);
    const fineTuned = floatTensor('w', 'F32', [2, 2], [-3e38, 1, 2, 3]);
    await withRoundTrip([{ base, fineTuned }], (trip) => expectExact(trip, fineTuned, 'exact'));
  });

  it('floats whose base holds integers are exact', async () => {
    const fineTuned = normal('w', 'F32', [4, 4], 1);
    await withRoundTrip([{ base: random('w', 'I32', [4, 4], 64), fineTuned }], (trip) =>
      expectExact(trip, fineTuned, 'exact'),
    );
  });

  it('empty tensors keep their place', async () => {
    const empty = (name: string, shape: readonly number[], dtype: Dtype = 'F32'): TensorToWrite => ({
      name,
      dtype,
      shape,
      data: new Uint8Array(0),
    });
    const pairs: Pair[] = [
      { fineTuned: empty('new', [0]) },
      { base: empty('cast', [0, 3]), fineTuned: empty('cast', [0, 3], 'BF16') },
      { base: normal('emptied', 'F32', [2, 3], 1), fineTuned: empty('emptied', [0, 3]) },
      { base: empty('filled', [0, 3]), fineTuned: normal('filled', 'F32', [2, 3], 1) },
    ];
    await withRoundTrip(pairs, (trip) => {
      for (const { fineTuned } of pairs) {
        expect(trip.tensors.get(fineTuned!.name)).toEqual(fineTuned!.data);
      }
      expect(trip.encoded.get('new')).toMatchObject({ case: 'added', byteLength: 0 });
    });
  });
});

describe('added and removed', () => {
  it('added tensors keep every byte, removed ones are listed and stay away', async () => {
    const added = [normal('head', 'BF16', [6, 5], 1), random('table', 'U8', [13], 13)];
    const pairs: Pair[] = [
      ...added.map((fineTuned) => ({ fineTuned })),
      { base: normal('gone', 'F32', [5, 5], 2) },
    ];
    await withRoundTrip(pairs, (trip) => {
      for (const tensor of added) expectExact(trip, tensor, 'added');
      expect(trip.report.removed).toEqual(['gone']);
      expect(trip.tensors.has('gone')).toBe(false);
    });
  });
});

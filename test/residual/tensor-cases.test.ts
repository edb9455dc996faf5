/** Every way in which a tensor of the fine-tune can relate to the base, from files to files. */
import { describe, expect, it } from 'vitest';
import type { Dtype, FloatDtype } from '../../formats/dtype.js';
import type { TensorCase } from '../../src/index.js';
import {
  floatTensor,
  type Model,
  matrixPair,
  modelPair,
  type RoundTrip,
  readHeaders,
  roundTrip,
  valuesOf,
} from '../helpers/models.js';
import { countingBytes, type TensorToWrite } from '../helpers/safetensors-bytes.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { normalFloats, randomBytes } from '../kernels/samples.js';

/** A matrix pair that every model here holds, so that base and fine-tune are clearly related. */
const anchor = matrixPair('anchor', [48, 40], 900);

interface Pair {
  readonly base?: TensorToWrite;
  readonly fineTuned?: TensorToWrite;
}

async function withRoundTrip(
  pairs: readonly Pair[],
  use: (trip: RoundTrip) => void | Promise<void>,
  options: Parameters<typeof roundTrip>[2] = { budget: { kind: 'rank', rank: 2 } },
): Promise<void> {
  await withTempFolder(async (folder) => {
    const models = modelPair([...pairs, anchor]);
    const trip = await roundTrip(folder, models, options);
    expect(await readHeaders(trip.output)).toEqual(await readHeaders(trip.fineTuned));
    await use(trip);
  });
}

/** The tensor comes out with the very bytes it had, as the case it is. */
function expectExact(trip: RoundTrip, tensor: TensorToWrite, tensorCase: TensorCase): void {
  expect(trip.tensors.get(tensor.name)).toEqual(tensor.data);
  expect(trip.encoded.get(tensor.name)).toMatchObject({ case: tensorCase, relativeError: 0 });
  expect(trip.inspected.get(tensor.name)).toMatchObject({ case: tensorCase, relativeError: 0 });
}

function expectLossy(trip: RoundTrip, { base, fineTuned }: Pair, tensorCase: TensorCase): void {
  const { name } = fineTuned!;
  const report = trip.encoded.get(name)!;
  expect(report.case).toBe(tensorCase);
  expect(trip.inspected.get(name)).toEqual(report);
  const decoded = valuesOf({ ...fineTuned!, data: trip.tensors.get(name)! });
  const original = valuesOf(fineTuned!);
  const basis = valuesOf(base!);
  let [error, residual] = [0, 0];
  for (const [i, value] of original.entries()) {
    error += (value - decoded[i]!) ** 2;
    residual += i < basis.length ? (value - basis[i]!) ** 2 : 0;
  }
  expect(Math.sqrt(error / residual) / report.relativeError).toBeCloseTo(1, 4);
  expect(report.relativeError).toBeGreaterThan(0);
  expect(report.relativeError).toBeLessThan(0.9);
}

const identical = (tensor: TensorToWrite): Pair => ({ base: tensor, fineTuned: tensor });
const random = (
  name: string,
  dtype: Dtype,
  shape: readonly number[],
  byteLength: number,
  seed = 1,
): TensorToWrite => ({
  name,
  dtype,
  shape,
  data: randomBytes(byteLength, seed),
});
const normal = (name: string, dtype: FloatDtype, shape: readonly number[], seed: number): TensorToWrite =>
  floatTensor(
    name,
    dtype,
    shape,
    normalFloats(
      shape.reduce((a, b) => a * b, 1),
      seed,
    ),
  );

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
      expect(trip.encoded.get('embed')!.codecs).toEqual(['low-rank', 'bytes']);
    });
  });

  it('rows that only were added leave the trained ones as they are', async () => {
    const base = rows(vocabulary.fineTuned, 33);
    await withRoundTrip([{ base, fineTuned: vocabulary.fineTuned }], (trip) => {
      expectExact(trip, vocabulary.fineTuned, 'resized');
      expect(trip.encoded.get('embed')!.codecs).toEqual(['bytes']);
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
    } as const; // prettier-ignore
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

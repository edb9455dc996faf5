/** Blocks in the kernels' own memory: rounded there in place, by one owner at a time. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FLOAT_DTYPES } from '../../formats/dtype.js';
import { elementByteLength } from '../../src/kernels/arguments.js';
import { wasmKernels } from '../../src/kernels/wasm/wasm-kernels.js';
import { BlockRooms } from '../../src/residual/decode-tensor.js';
import { bytesOf, normalFloats, randomBytes, scalar } from './samples.js';

const kernels = wasmKernels();

test('parts of a block, one after another, are those of other memory, NaNs among the base', () => {
  const rooms = kernels.takeRooms()!;
  const dtypes = fc.constantFrom(...FLOAT_DTYPES);
  fc.assert(
    fc.property(
      dtypes,
      dtypes,
      fc.integer({ min: 1, max: 50 }),
      fc.nat(),
      (dtype, baseDtype, count, seed) => {
        const [width, baseWidth] = [elementByteLength(dtype), elementByteLength(baseDtype)];
        const base = randomBytes(3 * count * baseWidth, seed);
        const [source, target] = [rooms.room(0, base.length)!, rooms.room(2, 3 * count * width)!];
        source.set(base);
        const expected = new Uint8Array(target.length);
        for (let part = 0; part < 3; part++) {
          const values = normalFloats(count, seed + part);
          const residual = kernels.residualBlock(count);
          residual.set(values);
          const [from, to] = [part * count, (part + 1) * count];
          const own = [source.subarray(from * baseWidth, to * baseWidth), residual] as const;
          kernels.addAndRound(dtype, baseDtype, ...own, target.subarray(from * width, to * width));
          const plain = [base.subarray(from * baseWidth, to * baseWidth), values] as const;
          scalar.addAndRound(dtype, baseDtype, ...plain, expected.subarray(from * width, to * width));
        }
        expect(Buffer.compare(target, expected)).toBe(0);
        expect(Buffer.compare(source, base)).toBe(0);
      },
    ),
  );
  rooms.free();
});

test('what is computed behind the end of a room does not reach the next', () => {
  const rooms = kernels.takeRooms()!;
  const largest = 4 * 2 ** 20;
  const next = rooms.room(3, 8)!.fill(7);
  const out = rooms.room(2, largest)!;
  const count = 5;
  const base = rooms.room(0, 2 * count)!.fill(1);
  kernels.addAndRound('BF16', 'BF16', base, kernels.residualBlock(count).fill(1), out.subarray(-2 * count));
  expect(bytesOf(next)).toEqual(Buffer.alloc(8, 7));
  expect(rooms.room(0, largest + 1)).toBeUndefined();
  expect(rooms.room(4, 1)).toBeUndefined();
  rooms.free();
});

test('they have one owner at a time, and others work in memory of theirs', () => {
  const own = new BlockRooms(kernels);
  const other = new BlockRooms(kernels);
  expect(kernels.takeRooms()).toBeUndefined();
  expect(own.room(1, 10).buffer).toBe(kernels.residualBlock(1).buffer);
  expect(other.room(1, 10).buffer).not.toBe(own.room(1, 10).buffer);
  expect(own.room(1, 5 * 2 ** 20)).toHaveLength(5 * 2 ** 20);
  other.free();
  expect(kernels.takeRooms()).toBeUndefined();
  own.free();
  kernels.takeRooms()!.free();
  expect(scalar.takeRooms()).toBeUndefined();
});

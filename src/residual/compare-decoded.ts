/** Holding a decoded tensor against the one of the same name in another checkpoint, as its bytes come. */
import type { Checkpoint } from '../../formats/checkpoint.js';
import { DTYPES, type FloatDtype, isFloatDtype } from '../../formats/dtype.js';
import type { ArchiveTensor } from '../../formats/ere/archive-index.js';
import type { Kernels } from '../kernels/kernels.js';
import { baseTensorOf } from './archive-base.js';
import { BlockRooms } from './decode-tensor.js';

/** How a decoded tensor compares with the one of the same name in `against`. */
export interface Comparison {
  readonly isEqual: boolean;
  /** ‖Ŵ − W‖² where both are the same float dtype and shape; else 0. */
  readonly squaredDistance: number;
  /** ‖W_base − W‖² over the rows that the base has, 0 without a float base. */
  readonly squaredResidual: number;
}

export interface Comparer {
  /** Takes bytes in order. */
  add(byteOffset: number, bytes: Uint8Array): Promise<void>;
  result(): Comparison;
}

export interface ComparerInput {
  readonly against: Checkpoint;
  readonly base: Checkpoint;
  readonly tensor: ArchiveTensor;
  readonly kernels: Kernels;
}

export function createComparer({ against, base, tensor, kernels }: ComparerInput): Comparer {
  const { name } = tensor;
  const original = against.tensors.get(name);
  const sameLayout = original?.dtype === tensor.dtype && original.shape.join() === tensor.shape.join();
  const isFloat = isFloatDtype(tensor.dtype);
  const baseTensor = baseTensorOf(base, tensor);
  const hasResidual = isFloat && baseTensor !== undefined && isFloatDtype(baseTensor.dtype);
  const rooms = new BlockRooms();
  let isEqual = sameLayout;
  let squaredDistance = 0;
  let squaredResidual = 0;
  const addDistance = (bytes: Uint8Array, expected: Uint8Array): void => {
    // What is exact is no distance away, also where it is not finite.
    if (equalBytes(bytes, expected)) return;
    squaredDistance += kernels.squaredDistance(tensor.dtype as FloatDtype, bytes, expected);
  };
  return {
    async add(byteOffset, bytes) {
      if (!sameLayout) return;
      const expected = await against.read(
        name,
        byteOffset,
        bytes.byteLength,
        rooms.room(0, bytes.byteLength),
      );
      isEqual &&= equalBytes(bytes, expected);
      if (!isFloat) return;
      if (!hasResidual) return addDistance(bytes, expected);
      // Elements keep their numbers: a base differs in its first dimension at most.
      const [width, baseWidth] = [DTYPES[tensor.dtype].bits / 8, DTYPES[baseTensor.dtype].bits / 8];
      const first = byteOffset / width;
      const count = Math.min(expected.byteLength / width, baseTensor.byteLength / baseWidth - first);
      const covered = Math.max(0, count) * width;
      addDistance(bytes.subarray(0, covered), expected.subarray(0, covered));
      addDistance(bytes.subarray(covered), expected.subarray(covered));
      if (count <= 0) return;
      const room = rooms.room(1, count * baseWidth);
      const basis = await base.read(baseTensor.name, first * baseWidth, count * baseWidth, room);
      const [dtype, baseDtype] = [tensor.dtype, baseTensor.dtype] as [FloatDtype, FloatDtype];
      const residual = new Float32Array(rooms.room(2, count * 4).buffer, 0, count);
      kernels.subtract(dtype, expected.subarray(0, count * width), baseDtype, basis, residual);
      squaredResidual += kernels.statistics(residual).sumOfSquares;
    },
    result: () => ({ isEqual, squaredDistance, squaredResidual }),
  };
}

function equalBytes(x: Uint8Array, y: Uint8Array): boolean {
  if (x.byteLength !== y.byteLength) return false;
  const words = (bytes: Uint8Array) =>
    new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 3);
  let tail = 0;
  if (x.byteOffset % 8 === 0 && y.byteOffset % 8 === 0) {
    const [left, right] = [words(x), words(y)];
    for (let i = 0; i < left.length; i++) if (left[i] !== right[i]) return false;
    tail = left.length * 8;
  }
  for (; tail < x.byteLength; tail++) if (x[tail] !== y[tail]) return false;
  return true;
}

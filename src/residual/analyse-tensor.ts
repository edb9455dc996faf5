/**
 * First pass over one tensor pair: digests, the size of the residual, and what of the tensor is none.
 */
import type { TensorInfo } from '../../formats/checkpoint.js';
import { DTYPES, type FloatDtype, isFloatDtype } from '../../formats/dtype.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import { isVectorShape } from '../../formats/matrix-view.js';
import type { MatrixStream } from '../linalg/matrix-stream.js';
import type { TensorCase } from './api.js';
import { HashedReader } from './hashed-reader.js';
import type { TensorPair } from './pair-tensors.js';
import { roundingEnergy } from './rounding-energy.js';
import { blockRows, type ReadTensor, type Runtime } from './runtime.js';

/** A pair whose bytes can be read. */
export interface ReadablePair {
  readonly pair: TensorPair;
  readonly readFineTuned: ReadTensor;
  /** Absent for added tensors. */
  readonly readBase: ReadTensor | undefined;
  readonly runtime: Runtime;
}

export interface TensorAnalysis {
  readonly case: TensorCase;
  readonly fineTunedDigest: Digest;
  readonly baseDigest: Digest | undefined;
  /** ‖W_ft − W_base‖² over the common rows; 0 where there is no residual. */
  readonly squaredResidual: number;
  /** Share of it that rounding to the fine-tune's dtype explains, Σ ulp²/12; 0 where there is no residual. */
  readonly roundingEnergy: number;
  /** Rows that are coded exactly whatever the budget: all of an exact tensor, or the added ones of a resized one. */
  readonly exactRows: readonly [start: number, end: number] | undefined;
}

/** A residual as a stream over the given reads, for the pass that measures it. */
export type OpenResidual = (readable: ReadablePair) => MatrixStream;

/**
 * Reads both tensors once; some of those without a residual once more.
 * @param openResidual gives the stream over a pair's reads; whoever gives it may keep what passes
 */
export async function analyseTensor(
  readable: ReadablePair,
  openResidual: OpenResidual,
): Promise<TensorAnalysis> {
  const { pair, readBase, runtime } = readable;
  const fineTuned = new HashedReader(readable.readFineTuned, runtime.createHasher());
  const base = readBase && new HashedReader(readBase, runtime.createHasher());
  const hashed = { ...readable, readFineTuned: fineTuned.read, readBase: base?.read };
  const measured = pair.kind === 'matrix' ? await measureResidual(hashed, openResidual) : undefined;
  const fineTunedDigest = await fineTuned.finish(pair.fineTuned.byteLength);
  const baseDigest = pair.base && base ? await base.finish(pair.base.byteLength) : undefined;
  const digests = { fineTunedDigest, baseDigest };
  if (pair.base !== undefined && fineTunedDigest === baseDigest && sameLayout(pair.base, pair.fineTuned)) {
    return { case: 'identical', ...digests, squaredResidual: 0, roundingEnergy: 0, exactRows: undefined };
  }
  if (measured !== undefined) {
    const { squaredResidual, roundingEnergy } = measured;
    // A residual of 0 can hide a sign of zero, or digits that float32 does not have: only exact coding keeps them.
    const isHidden = squaredResidual === 0 && !(await isBaseAlone(readable));
    if (isInRange(squaredResidual, pair.commonRows * pair.columns) && !isHidden) {
      const resized = pair.commonRows < pair.rows;
      const isResized = resized || pair.base!.shape[0] !== pair.fineTuned.shape[0];
      return {
        case: isResized ? 'resized' : 'residual',
        ...digests,
        squaredResidual,
        roundingEnergy,
        exactRows: resized ? [pair.commonRows, pair.rows] : undefined,
      };
    }
  }
  return {
    case: exactCase(pair),
    ...digests,
    squaredResidual: 0,
    roundingEnergy: 0,
    exactRows: [0, pair.rows],
  };
}

function exactCase(pair: TensorPair): TensorCase {
  if (pair.base === undefined) return 'added';
  const { dtype, shape } = pair.fineTuned;
  return isFloatDtype(dtype) && isVectorShape(shape) ? 'vector' : 'exact';
}

function sameLayout(base: TensorInfo, fineTuned: TensorInfo): boolean {
  return base.dtype === fineTuned.dtype && base.shape.join() === fineTuned.shape.join();
}

/** Bytes of one row of a tensor seen with the pair's columns. */
function rowByteLength(pair: TensorPair, tensor: TensorInfo): number {
  return (pair.columns * DTYPES[tensor.dtype].bits) / 8;
}

/** Reads rows [start, start + count) of the float32 residual over the common rows, into `into` where it is given. */
export function residualReader(
  readable: ReadablePair,
): (start: number, count: number, into?: Float32Array) => Promise<Float32Array> {
  const read = blockReader(readable);
  return async (start, count, into) => (await read(start, count, into)).residual;
}

/** Rows of the residual, and the bytes that they come from. */
export interface ResidualBlock {
  readonly residual: Float32Array;
  readonly fineTuned: Uint8Array;
  readonly base: Uint8Array;
}

/** Reads rows [start, start + count) of residual, fine-tune and base over the common rows. */
export function blockReader(
  readable: ReadablePair,
): (start: number, count: number, into?: Float32Array) => Promise<ResidualBlock> {
  const { pair, readFineTuned, readBase, runtime } = readable;
  const base = pair.base!;
  const fineTunedRow = rowByteLength(pair, pair.fineTuned);
  const baseRow = rowByteLength(pair, base);
  return async (start, count, into) => {
    const [fineTunedBytes, baseBytes] = await Promise.all([
      readFineTuned(start * fineTunedRow, count * fineTunedRow),
      readBase!(start * baseRow, count * baseRow),
    ]);
    const residual = into ?? new Float32Array(count * pair.columns);
    const fineTunedDtype = pair.fineTuned.dtype as FloatDtype;
    runtime.kernels.subtract(fineTunedDtype, fineTunedBytes, base.dtype as FloatDtype, baseBytes, residual);
    return { residual, fineTuned: fineTunedBytes, base: baseBytes };
  };
}

/**
 * Residuals that float32 products can be made of, where 1 / σ and sums of a component must be float32 too: a root mean
 * square of 10⁻³⁰ leaves room for components 10⁻⁷ of the strongest, a norm of 10³³ for the sum of 10⁹ random multiples.
 * Trained weights are nowhere near. What lies outside is coded exactly, as values that are not finite are.
 */
const LEAST_DEVIATION = 1e-30;
const LARGEST_NORM = 1e33;

/** @param squaredResidual ‖R‖²; 0 and NaN likewise */
function isInRange(squaredResidual: number, elements: number): boolean {
  if (squaredResidual === 0) return true;
  return squaredResidual >= elements * LEAST_DEVIATION ** 2 && squaredResidual <= LARGEST_NORM ** 2;
}

/** ‖R‖², or NaN when the fine-tune or the base holds a value that is not finite; and what rounding adds to it. */
async function measureResidual(
  readable: ReadablePair,
  openResidual: OpenResidual,
): Promise<Pick<TensorAnalysis, 'squaredResidual' | 'roundingEnergy'>> {
  const { pair, readFineTuned, runtime } = readable;
  const { kernels } = runtime;
  const dtype = pair.fineTuned.dtype as FloatDtype;
  let squaredResidual = 0;
  let squaredPowers = 0;
  const counted = {
    ...readable,
    readFineTuned: async (byteOffset: number, byteLength: number) => {
      const bytes = await readFineTuned(byteOffset, byteLength);
      squaredPowers += kernels.squaredPowers(dtype, bytes);
      return bytes;
    },
  };
  for await (const { matrix } of openResidual(counted).blocks()) {
    const statistics = kernels.statistics(matrix.data);
    // To the end all the same: the digests come from this pass.
    squaredResidual += statistics.nonFiniteCount > 0 ? Number.NaN : statistics.sumOfSquares;
  }
  return { squaredResidual, roundingEnergy: roundingEnergy(dtype, squaredPowers) };
}

/** Whether the common rows decode to the fine-tune's bytes without any term. */
async function isBaseAlone({ pair, readFineTuned, readBase, runtime }: ReadablePair): Promise<boolean> {
  const { columns, commonRows, fineTuned } = pair;
  const [fineTunedRow, baseRow] = [rowByteLength(pair, fineTuned), rowByteLength(pair, pair.base!)];
  const [dtype, baseDtype] = [fineTuned.dtype, pair.base!.dtype] as [FloatDtype, FloatDtype];
  const step = blockRows(columns);
  for (let start = 0; start < commonRows; start += step) {
    const count = Math.min(step, commonRows - start);
    const expected = await readFineTuned(start * fineTunedRow, count * fineTunedRow);
    const base = await readBase!(start * baseRow, count * baseRow);
    let decoded = base;
    if (dtype !== baseDtype) {
      decoded = new Uint8Array(expected.byteLength);
      runtime.kernels.addAndRound(
        dtype,
        baseDtype,
        base,
        new Float32Array(count * columns).fill(-0),
        decoded,
      );
    }
    if (!decoded.every((byte, i) => byte === expected[i])) return false;
  }
  return true;
}

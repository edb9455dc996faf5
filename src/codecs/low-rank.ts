/**
 * Codec "low-rank" (docs/spec/codecs.md §2): R̂_ij = f32(s · f32(Σ_k a_ik · b_jk)) with integer
 * a_ik = gainA_k · codeA_ik and b_jk = gainB_k · codeB_jk, the sum exact.
 *
 * Components are stored in bands, strongest first, one chunk a band, so that a prefix of the
 * archive holds the strongest components. Invariant: max_i‖a_i‖ · max_j‖b_j‖ < 2^53, which bounds
 * every partial sum in any order (Cauchy–Schwarz), and |a|, |b| < 2^26; below 2^31 the int16 kernel is exact.
 */
import { readUint16, writeUint16 } from '../../formats/little-endian.js';
import { type Kernels, MAX_PRODUCT_K } from '../kernels/kernels.js';
import { type BitsProfile, bitsOf } from './bits-profile.js';
import type { Codec, EncodedTerm, TermContext } from './codec.js';
import { FactorRows } from './factor-rows.js';
import {
  EXACT_SUM_LIMIT,
  INT16_SUM_LIMIT,
  type IntegerFactors,
  openIntegerProduct,
} from './integer-product.js';
import { codecError, countsParam, expectByteLength, expectChunks, float32Param } from './params.js';
import { bestStep, codeRange } from './scalar-quantizer.js';

/** bits u8, gainA u16, gainB u16. */
const COMPONENT_HEADER_BYTE_LENGTH = 5;

/** Payload bytes of one component. @param bits 2 to 16 */
export function componentByteLength(rows: number, columns: number, bits: number): number {
  return COMPONENT_HEADER_BYTE_LENGTH + Math.ceil((rows * bits) / 8) + Math.ceil((columns * bits) / 8);
}

/** R ≈ Σ_k σ_k u_k v_kᵀ; u and v component-major: component k of u is u[k·rows … (k+1)·rows). */
export interface LowRankFactors {
  readonly rows: number;
  readonly columns: number;
  readonly singularValues: Float64Array;
  readonly u: Float32Array;
  readonly v: Float32Array;
}

/** Band ends for a rank: eighths, so that a quarter of the bytes already holds the strongest quarter. */
export function bandSizes(rank: number): number[] {
  const ends = [...new Set([rank >> 3, rank >> 2, rank >> 1, rank])].filter((end) => end > 0);
  return ends.map((end, i) => end - (ends[i - 1] ?? 0));
}

interface QuantizedSide {
  /** codes[k·length + i] */
  readonly codes: Int16Array;
  readonly gains: Uint16Array;
  /** Value of one integer unit. */
  readonly unit: number;
}

/** One side of the factors, x_k·√σ_k for each component, with the best step of each. */
interface ScaledSide {
  readonly length: number;
  /** Component k, overwritten by the next call. */
  component(k: number): Float32Array;
  readonly steps: Float64Array;
}

function scaleSide(
  side: Float32Array,
  length: number,
  sigmas: Float64Array,
  rank: number,
  bits: BitsProfile,
): ScaledSide {
  const scaled = new Float32Array(length);
  const component = (k: number): Float32Array => {
    const weight = Math.sqrt(sigmas[k]!);
    const start = k * length;
    for (let i = 0; i < length; i++) scaled[i] = side[start + i]! * weight;
    return scaled;
  };
  return {
    length,
    component,
    steps: Float64Array.from({ length: rank }, (_, k) => bestStep(component(k), bitsOf(bits, k))),
  };
}

/** Quantises component k with its step rounded to gain · unit, gain ≤ gainLimits[k]. */
function quantizeSide(
  side: ScaledSide,
  bits: BitsProfile,
  gainLimits: Float64Array,
  kernels: Kernels,
): QuantizedSide {
  const { length, steps } = side;
  const unit = steps.reduce((largest, step, k) => Math.max(largest, step / gainLimits[k]!), 0);
  const gains = Uint16Array.from(steps, (step) => (step > 0 ? Math.max(1, Math.round(step / unit)) : 0));
  const codes = new Int16Array(steps.length * length);
  for (const [k, gain] of gains.entries()) {
    if (gain === 0) continue;
    const range = codeRange(bitsOf(bits, k));
    const target = codes.subarray(k * length, (k + 1) * length);
    kernels.quantize(side.component(k), 1 / (gain * unit), range.minimum, range.maximum, target);
  }
  return { codes, gains, unit };
}

/** Widest codes that the int16 kernel takes. */
const NARROW_BITS = 8;

/** Largest gain that keeps every a = gain · code in the range of the kernel that decodes the term. */
function largestGain(bits: number, isNarrow: boolean): number {
  // Up to 8 bits the int16 kernel has room for gains of 255 and more. Wider codes would leave too coarse
  // a grid of steps there, so they take the float64 kernel: codes of 2^15 with gains of 2^10 stay below 2^26.
  if (isNarrow) return Math.floor(32767 / -codeRange(bits).minimum);
  return bits <= NARROW_BITS ? 0xffff : 1024;
}

/** Both sides in integer units. */
interface QuantizedFactors {
  readonly a: QuantizedSide;
  readonly b: QuantizedSide;
}

/** Squared error over ‖R̂‖² up to which wide codes are coarsened for the int16 kernel: 50 dB below the residual. */
const INT16_NOISE_LIMIT = 1e-5;

/**
 * Wide codes on one grid for all components, as fine as the int16 kernel takes: it decodes four times as fast as
 * the float64 one. One grid is also what wastes least on weak components. Undefined where rows differ so
 * much that the grid would be too coarse.
 */
function quantizeForInt16(
  sideA: ScaledSide,
  sideB: ScaledSide,
  bits: BitsProfile,
  largestNoise: number,
  kernels: Kernels,
): QuantizedFactors | undefined {
  const rank = sideA.steps.length;
  let coarseness = 1;
  for (let attempt = 0; attempt < 4; attempt++) {
    const gains = new Float64Array(rank).fill(1 / coarseness);
    const a = quantizeSide(sideA, bits, gains, kernels);
    const b = quantizeSide(sideB, bits, gains, kernels);
    const sum = largestRowNorm(a, sideA.length, rank) * largestRowNorm(b, sideB.length, rank);
    if (sum < INT16_SUM_LIMIT * (1 - 1e-6)) {
      // Rounding moves every entry by a twelfth of a squared unit on average.
      const noise = (sideA.length * energyOf(b) + sideB.length * energyOf(a)) / 12;
      return noise * (a.unit * b.unit) ** 2 <= largestNoise ? { a, b } : undefined;
    }
    coarseness *= 1.001 * Math.sqrt(sum / INT16_SUM_LIMIT);
  }
  return undefined;
}

/** Σ code², of gains of 1. */
function energyOf({ codes }: QuantizedSide): number {
  let sum = 0;
  for (const code of codes) sum += code * code;
  return sum;
}

/** Largest row norm of the integer matrix gain_k · code_ik. */
function largestRowNorm(side: QuantizedSide, length: number, rank: number): number {
  const sums = new Float64Array(length);
  for (let k = 0; k < rank; k++) {
    const gain = side.gains[k]!;
    for (let i = 0; i < length; i++) sums[i]! += (gain * side.codes[k * length + i]!) ** 2;
  }
  return Math.sqrt(sums.reduce((largest, sum) => Math.max(largest, sum), 0));
}

/**
 * Encodes the first `rank` components, rounding to nearest.
 * @param rank 1 to the number of components; @param bits width of an entry, 2 to 16, of all or by component
 * @param noiseLimit squared error over ‖R̂‖² that codes of over 8 bits may take for faster decoding
 */
export function encodeLowRank(
  factors: LowRankFactors,
  rank: number,
  bits: BitsProfile,
  kernels: Kernels,
  noiseLimit = INT16_NOISE_LIMIT,
): EncodedTerm {
  const { rows, columns, singularValues } = factors;
  const widths = Array.from({ length: rank }, (_, k) => bitsOf(bits, k));
  const isNarrow = widths.every((width) => width <= NARROW_BITS);
  const sumLimit = isNarrow ? INT16_SUM_LIMIT : EXACT_SUM_LIMIT;
  const sideA = scaleSide(factors.u, rows, singularValues, rank, bits);
  const sideB = scaleSide(factors.v, columns, singularValues, rank, bits);
  const energy = singularValues.subarray(0, rank).reduce((sum, sigma) => sum + sigma * sigma, 0);
  const coarse = isNarrow ? undefined : quantizeForInt16(sideA, sideB, bits, noiseLimit * energy, kernels);
  let gainLimits = Float64Array.from(widths, (width) => largestGain(width, isNarrow));
  while (gainLimits.every((limit) => limit >= 1)) {
    const a = coarse?.a ?? quantizeSide(sideA, bits, gainLimits, kernels);
    const b = coarse?.b ?? quantizeSide(sideB, bits, gainLimits, kernels);
    if (largestRowNorm(a, rows, rank) * largestRowNorm(b, columns, rank) >= sumLimit) {
      gainLimits = gainLimits.map((limit) => Math.floor(limit * 0.8));
      continue;
    }
    const scale = Math.fround(a.unit * b.unit);
    const bands = bandSizes(rank);
    const chunks: { bytes: Uint8Array; squaredErrorDrop: number }[] = [];
    let first = 0;
    for (const size of bands) {
      const components = Array.from({ length: size }, (_, i) => first + i);
      chunks.push({
        bytes: packBand(components, a, b, rows, columns, bits, kernels),
        squaredErrorDrop: components.reduce((sum, k) => sum + singularValues[k]! ** 2, 0),
      });
      first += size;
    }
    return { codec: lowRankCodec.id, params: { bands, scale }, chunks };
  }
  throw new RangeError(`expected factors whose integer sums fit, got rank ${rank} at ${widths.join()} bits`);
}

function packBand(
  components: readonly number[],
  a: QuantizedSide,
  b: QuantizedSide,
  rows: number,
  columns: number,
  profile: BitsProfile,
  kernels: Kernels,
): Uint8Array {
  const bytes = new Uint8Array(
    components.reduce((sum, k) => sum + componentByteLength(rows, columns, bitsOf(profile, k)), 0),
  );
  let offset = 0;
  for (const k of components) {
    const bits = bitsOf(profile, k);
    bytes[offset] = bits;
    writeUint16(bytes, offset + 1, a.gains[k]!);
    writeUint16(bytes, offset + 3, b.gains[k]!);
    offset += COMPONENT_HEADER_BYTE_LENGTH;
    for (const [side, length] of [
      [a, rows],
      [b, columns],
    ] as const) {
      const codes = side.codes.subarray(k * length, (k + 1) * length);
      const packed = bytes.subarray(offset, offset + Math.ceil((length * bits) / 8));
      kernels.packCodes(codes, bits, packed);
      offset += packed.byteLength;
    }
  }
  return bytes;
}

/** The integers of a term, as far as its chunks are there. @throws CodecError as opening the term */
export async function readIntegerFactors(context: TermContext): Promise<IntegerFactors> {
  const { rowCount: rows, columns, kernels } = context;
  const bands = countsParam(context, 'bands');
  expectChunks(context, bands.length);
  const chunks: Uint8Array[] = [];
  for (let band = 0; band < bands.length; band++) {
    const bytes = await context.chunk(band);
    if (bytes === undefined) break; // Behind the cut: later bands only refine.
    // Even at 2 bits a component takes this much, so a lying count cannot make us allocate.
    if (bytes.byteLength < bands[band]! * componentByteLength(rows, columns, 2)) {
      throw codecError(
        context,
        `band ${band}: ${bytes.byteLength} bytes cannot hold ${bands[band]} components`,
      );
    }
    chunks.push(bytes);
  }
  const rank = chunks.reduce((sum, _, band) => sum + bands[band]!, 0);
  if (rank > MAX_PRODUCT_K)
    throw codecError(context, `expected a rank of at most ${MAX_PRODUCT_K}, found ${rank}`);
  const a = new FactorRows(rows, rank, kernels);
  const b = new FactorRows(columns, rank, kernels);
  let k = 0;
  for (const [band, bytes] of chunks.entries()) {
    let offset = 0;
    for (let i = 0; i < bands[band]!; i++, k++) {
      const bits = bytes[offset] ?? 0;
      if (bits < 2 || bits > 16)
        throw codecError(context, `component ${k}: expected 2 to 16 bits, found ${bits}`);
      const end = offset + componentByteLength(rows, columns, bits);
      if (end > bytes.byteLength) throw codecError(context, `component ${k}: the band ends inside it`);
      const gains = [readUint16(bytes, offset + 1), readUint16(bytes, offset + 3)] as const;
      offset += COMPONENT_HEADER_BYTE_LENGTH;
      for (const [side, length, gain] of [
        [a, rows, gains[0]],
        [b, columns, gains[1]],
      ] as const) {
        const packedByteLength = Math.ceil((length * bits) / 8);
        kernels.unpackCodes(bytes.subarray(offset, offset + packedByteLength), bits, length, side.next);
        side.add(gain);
        offset += packedByteLength;
      }
    }
    expectByteLength(context, band, bytes, offset);
  }
  for (const bytes of chunks) context.release?.(bytes);
  return { a: a.finish(), b: b.finish(), rank };
}

export const lowRankCodec: Codec = {
  id: 'low-rank',
  async open(context) {
    const scale = float32Param(context, 'scale');
    return openIntegerProduct(context, await readIntegerFactors(context), scale);
  },
};

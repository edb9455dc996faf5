/**
 * Second pass over one tensor pair: the terms of the chosen operating point, and what they decode
 * to. The decoder itself runs here, so the digest in the archive is that of the real output.
 */
import type { Digest } from '../../formats/ere/archive-index.js';
import type { Choice } from '../allocation/operating-points.js';
import type { EncodedTerm } from '../codecs/codec.js';
import { encodeDense } from '../codecs/dense.js';
import { encodeLowRank } from '../codecs/low-rank.js';
import { encodeSign } from '../codecs/sign.js';
import type { GemmEngine } from '../linalg/gemm-engine.js';
import type { SvdGrowth } from '../linalg/growing-svd.js';
import { EFFORTS, LAMBDA } from '../rate-distortion/efforts.js';
import {
  encodeLowRankPart,
  encodeResidual,
  type LowRankPart,
  type ResidualEncoding,
  type ResidualToEncode,
} from '../rate-distortion/encode-residual.js';
import { type ReadablePair, residualReader } from './analyse-tensor.js';
import { decodeTensor } from './decode-tensor.js';
import { byteLengthOf, decoderInput } from './encoded-terms.js';
import { encodeRefinement, encodeSmallWeights } from './exact-terms.js';
import type { RecoveredProduct } from './recover-product.js';

export interface EncodedTensor {
  readonly terms: readonly EncodedTerm[];
  readonly decodedDigest: Digest;
  /** ‖W_ft − Ŵ‖² over all rows, rounding included. */
  readonly squaredError: number;
  /** Leading singular values of the residual, where the encoder computed them here. */
  readonly singularValues?: Float64Array;
  /** Then also what they grew from, and further choices will. */
  readonly growth?: SvdGrowth;
  /** Present where the chunks of its basis are also those of other tensors that were encoded with it. */
  readonly sharesBasis?: true;
}

/** What a residual is encoded from, made when first needed. */
export interface ResidualSource extends ResidualToEncode {
  engine(): Promise<GemmEngine>;
  /** How the components were looked for so far. */
  readonly growth: SvdGrowth;
  /** The rows of the residual coded exactly; made once. */
  exact(): Promise<EncodedTerm>;
  /** A recovered product with its small weights (encodeProduct); made once. @throws RangeError where there is none */
  product(): Promise<readonly EncodedTerm[]>;
}

/** @param exactTerms terms that the analysis has finished */
export async function encodeTensor(
  readable: ReadablePair,
  choice: Choice,
  source: ResidualSource,
  exactTerms: readonly EncodedTerm[],
): Promise<EncodedTensor> {
  const chosen = await chosenTerms(readable, choice, source);
  const { commonRows, rows } = readable.pair;
  const covered = commonRows < rows ? { rows: [0, commonRows] as const } : {};
  const terms = [...chosen.map((term) => ({ ...covered, ...term })), ...exactTerms];
  let finished = await finishTensor(readable, terms);
  if (!Number.isFinite(finished.squaredError)) {
    // A value near the largest of its dtype was rounded beyond it: no loss that could be stated.
    finished = await encodeExact(readable, source, exactTerms);
  }
  if (choice.kind !== 'rate-distortion') return finished;
  // They are known by now: the coder looked for those above water.
  const singularValues = await source.singularValues(1);
  return { ...finished, singularValues, growth: source.growth };
}

/** The residual coded exactly by itself. @param exactTerms terms that the analysis has finished */
export async function encodeExact(
  readable: ReadablePair,
  source: ResidualSource,
  exactTerms: readonly EncodedTerm[],
): Promise<EncodedTensor> {
  const { commonRows, rows } = readable.pair;
  const exact = await source.exact();
  const covering = commonRows < rows ? { rows: [0, commonRows] as const, ...exact } : exact;
  return finishTensor(readable, [covering, ...exactTerms]);
}

/** Terms with what they decode to. */
export async function finishTensor(
  readable: ReadablePair,
  terms: readonly EncodedTerm[],
): Promise<EncodedTensor> {
  return { terms, ...(await decodeBack(readable, terms)) };
}

/** Exact terms on top of lossy ones. */
export interface TensorRefinement {
  readonly terms: readonly EncodedTerm[];
  /** Of what the lossy terms and these decode to together. */
  readonly decodedDigest: Digest;
}

/** @param terms every term of the lossy tensor, in order */
export async function refineTensor(
  readable: ReadablePair,
  terms: readonly EncodedTerm[],
): Promise<TensorRefinement> {
  const refinement = await encodeRefinement(readable, terms);
  const { decodedDigest } = await decodeBack(readable, [...terms, ...refinement]);
  return { terms: refinement, decodedDigest };
}

async function chosenTerms(
  readable: ReadablePair,
  choice: Choice,
  source: ResidualSource,
): Promise<readonly EncodedTerm[]> {
  const { pair, runtime } = readable;
  const { commonRows, columns } = pair;
  const { kernels } = runtime;
  switch (choice.kind) {
    case 'none':
      return [];
    case 'dense':
      return [await encodeDense(residualReader(readable), commonRows, columns, choice.bits, kernels)];
    case 'sign':
      return [await encodeSign(residualReader(readable), commonRows, columns, kernels)];
    case 'low-rank':
      if (choice.smallWeights === true) return source.product();
      return [encodeLowRank(await source.factors(choice.rank), choice.rank, choice.bits, kernels)];
    case 'rate-distortion':
      return chooseByCost(readable, choice, source);
    case 'exact':
      return choice.lowRankFirst ? smallestExactTerms(readable, source) : [await source.exact()];
  }
}

/** Share of a product's bytes that its small weights may add: measured 5 to 18 %; more is no product that was rounded. */
const SMALL_WEIGHTS_SHARE = 0.5;

/** Noise of the factors over ‖R̂‖² where every weight is to come out right: 60 dB below the residual. */
const PRODUCT_NOISE_LIMIT = 1e-6;

/**
 * A product that was recovered, and the term that brings every weight to its own value or the next one, unless that
 * is out of proportion: where a product errs, small weights are off by more than their neighbours' distance.
 */
export async function encodeProduct(
  readable: ReadablePair,
  { factors, bits }: RecoveredProduct,
): Promise<readonly EncodedTerm[]> {
  const { commonRows, rows } = readable.pair;
  const rank = factors.singularValues.length;
  const term = encodeLowRank(factors, rank, bits, readable.runtime.kernels, PRODUCT_NOISE_LIMIT);
  const product: EncodedTerm = commonRows < rows ? { ...term, rows: [0, commonRows] } : term;
  const small = await encodeSmallWeights(readable, [product]);
  const isWorth =
    small !== undefined && byteLengthOf([small]) <= SMALL_WEIGHTS_SHARE * byteLengthOf([product]);
  return isWorth ? [product, small] : [product];
}

/**
 * Step over the deviation of what the low-rank part leaves, for the low-rank part under exact terms: a bit more
 * in the factors saves one in the exact term at λ = 2 ln 2 · D. Measured optimum: 3.5 to 5, flat.
 */
export const STEP_UNDER_EXACT = 3.9;
/** The remainder decides the step, which decides the remainder; the second round is within 1 %. */
export const STEP_ROUNDS = 2;
/** The share of ‖R‖² that 15 bits and a sign leave, 90 dB below it: a smaller step has no codes. A few changed elements get there at once. */
export const LEAST_REMAINDER_SHARE = 1e-9;
/** Smaller tensors have no low-rank part worth its header. */
export const MIN_LOW_RANK_ELEMENTS = 4096;

/** Exact terms by themselves, or on top of a low-rank part, whichever are smaller. */
async function smallestExactTerms(
  readable: ReadablePair,
  source: ResidualSource,
): Promise<readonly EncodedTerm[]> {
  const { commonRows, columns, rows } = readable.pair;
  const alone = [await source.exact()];
  const elements = commonRows * columns;
  if (elements < MIN_LOW_RANK_ELEMENTS) return alone;
  const energy = await source.energy();
  // Another dtype of the same values: there is nothing to quantise, so no step.
  if (energy === 0) return alone;
  const engine = await source.engine();
  let squaredError = energy;
  let part: LowRankPart | undefined;
  for (let round = 0; round < STEP_ROUNDS && squaredError > LEAST_REMAINDER_SHARE * energy; round++) {
    const step = STEP_UNDER_EXACT * Math.sqrt(squaredError / elements);
    const encoding = { ...EFFORTS.default, step, lambda: LAMBDA };
    part = await encodeLowRankPart(source, encoding, readable.runtime.kernels, engine);
    if (part === undefined) return alone;
    squaredError = part.squaredError;
  }
  const lowRank = commonRows < rows ? { ...part!.term, rows: [0, commonRows] as const } : part!.term;
  const layered = [lowRank, ...(await encodeRefinement(readable, [lowRank]))];
  return byteLengthOf(layered) < byteLengthOf(alone) ? layered : alone;
}

/** Share of the tensor's own bytes from which on exact coding may be cheaper than more of lossy coding. */
const EXACT_SHARE = 0.25;

/** Lossy terms, or exact ones where the bits they take more cost less than the error they take off. */
async function chooseByCost(
  readable: ReadablePair,
  encoding: ResidualEncoding,
  source: ResidualSource,
): Promise<readonly EncodedTerm[]> {
  const { pair, runtime } = readable;
  const { terms, cost } = await encodeResidual(source, encoding, runtime.kernels, await source.engine());
  const lossyByteLength = byteLengthOf(terms);
  if (lossyByteLength < EXACT_SHARE * pair.fineTuned.byteLength) return terms;
  const exact = await source.exact();
  const exactCost = encoding.lambda * encoding.step ** 2 * 8 * byteLengthOf([exact]);
  return exactCost < cost ? [exact] : terms;
}

/** Decodes the terms as a decoder would, and compares with the fine-tuned tensor. */
async function decodeBack(
  readable: ReadablePair,
  terms: readonly EncodedTerm[],
): Promise<{ decodedDigest: Digest; squaredError: number }> {
  const { pair, readFineTuned, runtime } = readable;
  const { fineTuned, commonRows, rows } = pair;
  // Rows that the base lacks are exact, and may hold values that are not finite.
  const lossyByteLength = rows === 0 ? 0 : (fineTuned.byteLength / rows) * commonRows;
  let squaredError = 0;
  const { decoded } = await decodeTensor({
    ...decoderInput(readable, terms),
    write: async (byteOffset, bytes) => {
      const length = Math.min(bytes.byteLength, lossyByteLength - byteOffset);
      if (pair.kind !== 'matrix' || length <= 0) return; // Exact terms only.
      const original = await readFineTuned(byteOffset, length);
      const decoded = bytes.subarray(0, length);
      squaredError += runtime.kernels.squaredDistance(fineTuned.dtype as never, decoded, original);
    },
    runtime,
    hashBase: false,
  });
  return { decodedDigest: decoded, squaredError };
}

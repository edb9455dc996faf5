/** What an encode knows of one residual, and what follows from it for the allocation. */
import type { AllocationTensor } from '../allocation/operating-points.js';
import type { TensorPair } from './pair-tensors.js';

/** A tensor with a residual, as far as it is known. */
export interface ResidualState {
  readonly pair: number;
  readonly energy: number;
  readonly roundingEnergy: number;
  /** Tied tensors that decode from the same terms, this one included: their errors add up, their bytes do not. */
  copies: number;
  /** The leading ones, as far as they are known. */
  singularValues: Float64Array;
  /** Whether these are all: as many as the smaller side, or fewer than asked for. */
  isComplete: boolean;
  /** Set where the residual is a rounded product, and `singularValues` are the product's. */
  productBits: number | undefined;
  /** Payload bytes of the product with its small weights, where it is one. */
  productByteLength: number | undefined;
  /** Payload bytes at the point encoded last. */
  payloadByteLength: number;
  /** Payload bytes of exact coding: a bound, until it was tried. */
  exactByteLength: number;
}

/** What is known of the spectrum of one residual. */
export interface KnownSpectrum extends AllocationTensor {
  /** Whether its low-rank part may share a basis with others. */
  readonly sharesBasis: boolean;
  /** Whether `singularValues` are all there are. */
  readonly complete: boolean;
}

/** What options and preset allow for every tensor. */
export interface TensorConstraints {
  readonly lowRankOnly: boolean;
  /** Largest rank; undefined for none. */
  readonly maxRank: number | undefined;
  /** Largest rank of residuals that are no rounded product; default: maxRank. */
  readonly openRank?: number;
  /** Whether rounded products are looked for (recover-product.ts), with the width that suffices for each. */
  readonly recoverProducts: boolean;
  /** Whether estimates will be asked for; default false. */
  readonly sampleRows?: boolean;
  /** Whether tensors with the same inputs may be coded together; default false. */
  readonly sharedBases?: boolean;
}

/** A residual that is a product, and its payload bytes. */
export interface ProductSize {
  readonly rank: number;
  readonly bits: number;
  readonly byteLength: number;
  /** The same with the term that corrects small weights. */
  readonly withSmallWeights: number;
}

/** Largest rank that a residual may be given. */
export function rankLimit({ productBits }: ResidualState, constraints: TensorConstraints): number {
  const { maxRank = Number.POSITIVE_INFINITY, openRank = maxRank } = constraints;
  return productBits === undefined ? openRank : maxRank;
}

/** A residual as allocations see it: tied tensors as one whose error counts as often. */
export function allocationTensor(
  state: ResidualState,
  { commonRows, columns }: TensorPair,
  constraints: TensorConstraints,
): AllocationTensor {
  const { copies, productBits, exactByteLength } = state;
  const singularValues = state.singularValues.map((sigma) => Math.sqrt(copies) * sigma);
  return {
    rows: commonRows,
    columns,
    // Beyond a product there is rounding only, which decoding repeats.
    energy:
      productBits === undefined
        ? copies * state.energy
        : singularValues.reduce((sum, sigma) => sum + sigma * sigma, 0),
    singularValues,
    exactByteLength,
    lowRankOnly: constraints.lowRankOnly,
    maxRank: rankLimit(state, constraints),
    ...(productBits === undefined ? {} : { factorBits: productBits }),
  };
}

/** Largest matrices that are coded over shared bases: those of larger ones are small against them, and take time. */
const LARGEST_SHARED_DIMENSION = 384;
const LARGEST_SHARED_ELEMENTS = 2 ** 22;

/** Whether a residual may be coded over a basis that it shares. */
export function canShareBasis(
  { copies, productBits }: ResidualState,
  { rows, commonRows, columns }: TensorPair,
): boolean {
  return (
    copies === 1 &&
    productBits === undefined &&
    rows === commonRows &&
    columns <= LARGEST_SHARED_DIMENSION &&
    rows * columns <= LARGEST_SHARED_ELEMENTS
  );
}

/**
 * A truncated SVD that can be asked for more components: what was found is kept, and a block of new ones is looked
 * for outside of it (randomized-svd.ts), so that growing from r to s components takes about the products of s − r.
 */
import { exactSvd } from './exact-svd.js';
import type { GemmEngine } from './gemm-engine.js';
import { assertDimension } from './matrix.js';
import type { MatrixStream } from './matrix-stream.js';
import { defaultOversample, extendRange } from './randomized-svd.js';
import { leadingComponents, type TruncatedSvd } from './svd-result.js';
import { prefersExact } from './truncated-svd.js';

export interface GrowSvdOptions {
  /** Components wanted, at least; no more than the matrix has. */
  readonly rank: number;
  readonly engine: GemmEngine;
  /** Seed of the randomised algorithm; default 0. */
  readonly seed?: number;
  /** ‖R‖² where it is known and finite; default: measured. */
  readonly energy?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface GrownSvd {
  /** The strongest components, with the accuracy of randomizedSvd at every rank. */
  readonly svd: TruncatedSvd;
  /** All components at hand: those of `svd`, and an oversample that is less accurate, which the next block grows from. */
  readonly all: TruncatedSvd;
  /** Whether `svd` has all there are above the rounding of float32 products. */
  readonly isComplete: boolean;
}

/** A block has this many columns at least: a pass over the matrix for fewer is hardly cheaper. */
const smallestBlock = 16;

/**
 * At least `rank` of the strongest components, from none or from fewer. What comes out depends, bit for bit on one
 * machine and engine, on the matrix, the seed and the ranks asked for since the beginning. Ranks near the full one,
 * and small matrices, go the exact way, and are complete then. Errors are those of randomizedSvd.
 */
export async function growSvd(
  stream: MatrixStream,
  known: GrownSvd | undefined,
  options: GrowSvdOptions,
): Promise<GrownSvd> {
  const { rank, engine, seed = 0, energy, signal } = options;
  assertDimension('rank', rank);
  const shortSide = Math.min(stream.rows, stream.columns);
  const wanted = Math.min(rank, shortSide);
  if (known !== undefined && (known.isComplete || wanted <= known.svd.rank)) return known;
  if (prefersExact(shortSide, wanted)) {
    const all = await exactSvd(stream, { engine, signal });
    return { svd: all, all, isComplete: true };
  }
  const before = known?.all.rank ?? 0;
  const needed = wanted === 0 ? 0 : wanted + defaultOversample(wanted);
  const width = Math.min(before === 0 ? needed : Math.max(needed, before + smallestBlock), shortSide);
  const all = await extendRange(stream, known?.all, { width, engine, seed, energy, signal });
  if (all.rank < width) return { svd: all, all, isComplete: true };
  return { svd: leadingComponents(all, before === 0 ? wanted : accurateRank(width)), all, isComplete: false };
}

/** What a RegrowableSvd is made again from. */
export interface SvdGrowth {
  /** Ranks that were asked for and made it grow, in order: all that it depends on. */
  readonly ranks: readonly number[];
  readonly isComplete: boolean;
}

/** A grown SVD whose factors can be dropped to free memory, and are made again from the same ranks in the same order. */
export class RegrowableSvd {
  readonly #stream: MatrixStream;
  #growth: readonly number[] = [];
  /** Undefined before the first request. */
  #singularValues: Float64Array | undefined;
  #isComplete = false;
  #grown: GrownSvd | undefined;

  constructor(stream: MatrixStream) {
    this.#stream = stream;
  }

  /** The leading singular values that are known, dropped factors or not; undefined before the first request. */
  get singularValues(): Float64Array | undefined {
    return this.#singularValues;
  }

  /** What the factors depend on beside the matrix. */
  get growth(): SvdGrowth {
    return { ranks: this.#growth, isComplete: this.#isComplete };
  }

  /** Takes up where another one of the same matrix was, its factors dropped. */
  recall({ ranks, isComplete }: SvdGrowth, singularValues: Float64Array): void {
    this.#growth = ranks;
    this.#isComplete = isComplete;
    this.#singularValues = singularValues;
    this.#grown = undefined;
  }

  /** Bytes of the factors in memory. */
  get byteLength(): number {
    const { all } = this.#grown ?? {};
    return all === undefined ? 0 : all.u.byteLength + all.v.byteLength;
  }

  drop(): void {
    this.#grown = undefined;
  }

  /** Whether the leading `rank` singular values are known, or all there are. */
  suffices(rank: number): boolean {
    const { rows, columns } = this.#stream;
    return this.#isComplete || (this.#singularValues?.length ?? -1) >= Math.min(rank, rows, columns);
  }

  /** At least `rank` components, or all there are. */
  async factors(rank: number, options: Omit<GrowSvdOptions, 'rank'>): Promise<TruncatedSvd> {
    const isGrowing = !this.suffices(rank);
    if (!isGrowing && this.#grown !== undefined) return this.#grown.svd;
    let grown = this.#grown;
    for (const earlier of grown === undefined ? this.#growth : []) {
      grown = await growSvd(this.#stream, grown, { ...options, rank: earlier });
    }
    if (isGrowing) {
      grown = await growSvd(this.#stream, grown, { ...options, rank });
      // The exact way depends on nothing found before.
      this.#growth = grown.svd.method === 'exact' ? [rank] : [...this.#growth, rank];
      this.#singularValues = grown.svd.singularValues;
      this.#isComplete = grown.isComplete;
    }
    this.#grown = grown!;
    return this.#grown.svd;
  }
}

/** The largest rank for which `width` columns hold its oversample. */
function accurateRank(width: number): number {
  let rank = Math.ceil(width / 1.1);
  while (rank > 0 && rank + defaultOversample(rank) > width) rank--;
  return rank;
}

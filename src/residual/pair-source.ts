/**
 * The residual of one pair while it is encoded: its stream, its leading components, a sample of its rows,
 * its exact term. Everything large can be dropped to free memory and is made again, bit for
 * bit, when it is asked for: results depend on what was asked in which order, never on what was dropped.
 */
import type { EncodedTerm } from '../codecs/codec.js';
import type { LowRankFactors } from '../codecs/low-rank.js';
import type { GemmEngine } from '../linalg/gemm-engine.js';
import { RegrowableSvd, type SvdGrowth } from '../linalg/growing-svd.js';
import { rowRange } from '../linalg/matrix.js';
import type { MatrixStream } from '../linalg/matrix-stream.js';
import { streamProducts } from '../linalg/stream-products.js';
import { FIRST_RANK } from '../rate-distortion/encode-residual.js';
import {
  type ResidualSample,
  resample,
  type SamplePlace,
  sampleRows,
} from '../rate-distortion/residual-sample.js';
import { normalizeWeights, weightColumns } from '../rate-distortion/weight-columns.js';
import { type ReadablePair, residualReader } from './analyse-tensor.js';
import { encodeProduct, type ResidualSource } from './encode-tensor.js';
import { byteLengthOf } from './encoded-terms.js';
import { encodeRowsExactly } from './exact-terms.js';
import { type RecoveredProduct, recoverProduct } from './recover-product.js';
import { type CachedStream, type ResidualCrew, residualStream } from './residual-stream.js';

/** What a source was asked to recover: energies of the residual, and of rounding alone. */
export interface RecoverNoise {
  readonly energy: number;
  readonly roundingEnergy: number;
}

export interface PairSourceOptions {
  readonly readable: ReadablePair;
  readonly engine: () => Promise<GemmEngine>;
  /** Weights of the columns' errors, not normalised. */
  readonly columnWeights: Float32Array | undefined;
  /** Largest residual that stays in memory between passes, in bytes of float32. */
  readonly cacheByteLimit: number;
  /** Threads that share the work on a large residual; default: none. */
  readonly crew?: ResidualCrew | undefined;
}

export class PairSource implements ResidualSource {
  readonly engine: () => Promise<GemmEngine>;
  readonly columnWeights: Float32Array | undefined;
  readonly #streamOptions: Pick<PairSourceOptions, 'cacheByteLimit' | 'crew'>;
  readonly #readable: ReadablePair;
  #energy = 0;
  #stream: CachedStream | undefined;
  #firstPass: CachedStream | undefined;
  #svd: RegrowableSvd | undefined;
  /** Once one was recovered: its factors replace all others. */
  #product: RecoveredProduct | undefined;
  #productTerms: readonly EncodedTerm[] | undefined;
  #exact: EncodedTerm | undefined;
  #sample: ResidualSample | undefined;
  /** Stays when the sample is dropped: its components are those known when it was taken. */
  #samplePlace: SamplePlace | undefined;
  #weightedEnergy: number | undefined;

  constructor({ readable, engine, columnWeights, cacheByteLimit, crew }: PairSourceOptions) {
    this.#readable = readable;
    this.engine = engine;
    this.columnWeights = columnWeights && normalizeWeights(columnWeights);
    this.#streamOptions = { cacheByteLimit, crew };
  }

  /** The residual over other reads of the same pair; what it keeps in its pass is this source's after `endFirstPass`. */
  beginFirstPass(readable: ReadablePair): CachedStream {
    this.#firstPass = residualStream(readable, this.#streamOptions);
    return this.#firstPass;
  }

  /** @param isResidual whether there will be other passes */
  endFirstPass(isResidual: boolean): void {
    if (this.#firstPass !== undefined && isResidual) this.stream.adopt(this.#firstPass);
    this.#firstPass = undefined;
  }

  get stream(): CachedStream {
    this.#stream ??= residualStream(this.#readable, this.#streamOptions);
    return this.#stream;
  }

  /** Bytes of the residual that are kept between passes. */
  get streamByteLength(): number {
    return this.#stream?.cachedByteLength ?? 0;
  }

  /** Bytes that it will keep of the residual besides, once it has been read. */
  get missingByteLength(): number {
    const { commonRows, columns } = this.#readable.pair;
    const byteLength = commonRows * columns * Float32Array.BYTES_PER_ELEMENT;
    return byteLength > this.#streamOptions.cacheByteLimit ? 0 : byteLength - this.streamByteLength;
  }

  /** Finished terms that are kept for whoever asks again. */
  get keptTerms(): readonly EncodedTerm[] {
    const exact = this.#exact === undefined ? [] : [this.#exact];
    return [...exact, ...(this.#productTerms ?? [])];
  }

  /** Bytes of what else can be dropped. */
  get resultByteLength(): number {
    return (this.#svd?.byteLength ?? 0) + byteLengthOf(this.keptTerms);
  }

  /** Bytes of the sample, and of the same less its leading components, which is kept beside it. */
  get sampleByteLength(): number {
    return 2 * (this.#sample?.values.byteLength ?? 0);
  }

  dropSample(): void {
    this.#sample = undefined;
  }

  dropStream(): void {
    this.#stream?.drop();
  }

  dropResults(): void {
    this.#svd?.drop();
    this.#exact = undefined;
    this.#productTerms = undefined;
  }

  /** @param energy ‖R‖², measured */
  set squaredResidual(energy: number) {
    this.#energy = energy;
  }

  async energy(): Promise<number> {
    if (this.columnWeights === undefined) return this.#energy;
    this.#weightedEnergy ??= await streamProducts(this.#weighted(), { engine: await this.engine() }).energy();
    return this.#weightedEnergy;
  }

  async factors(rank: number): Promise<LowRankFactors> {
    if (this.#product !== undefined) return this.#product.factors;
    // Measured already, but for that of the weighted residual.
    const energy = this.columnWeights === undefined && this.#energy > 0 ? this.#energy : undefined;
    return this.#components.factors(rank, { engine: await this.engine(), energy });
  }

  async singularValues(rank: number): Promise<Float64Array> {
    if (this.#product !== undefined) return this.#product.factors.singularValues;
    const components = this.#components;
    return components.suffices(rank) ? components.singularValues! : (await this.factors(rank)).singularValues;
  }

  async sample(): Promise<ResidualSample> {
    if (this.#sample !== undefined) return this.#sample;
    const read = residualReader(this.#readable);
    const readRow = async (row: number): Promise<Float32Array> => {
      const { cached } = this.stream;
      return cached === undefined ? read(row, 1) : rowRange(cached, row, row + 1).data;
    };
    if (this.#samplePlace !== undefined) {
      this.#sample = await resample(this.#samplePlace, readRow);
      return this.#sample;
    }
    const { columnWeights } = this;
    const svd = await this.factors(this.#svd?.singularValues?.length ?? FIRST_RANK);
    const { kernels } = this.#readable.runtime;
    this.#sample = await sampleRows(this.stream, { svd, columnWeights, readRow }, kernels);
    const { values: _, ...place } = this.#sample;
    this.#samplePlace = place;
    return this.#sample;
  }

  get growth(): SvdGrowth {
    return this.#components.growth;
  }

  /** Takes up what was known of the spectrum when a tensor was encoded that need not be again. */
  recall(growth: SvdGrowth, singularValues: Float64Array): void {
    this.#components.recall(growth, singularValues);
  }

  /** As before any component was looked for. */
  forgetSpectrum(): void {
    this.#svd = undefined;
  }

  /** Looks for a product that explains the residual, and takes its factors from then on; its width, if there is one. */
  async recover(rank: number, noise: RecoverNoise): Promise<number | undefined> {
    const factors = await this.factors(rank);
    const product = await recoverProduct(this.#readable, { factors, ...noise, engine: await this.engine() });
    if (product !== undefined) this.#product = product;
    return product?.bits;
  }

  async product(): Promise<readonly EncodedTerm[]> {
    if (this.#product === undefined) throw new RangeError('expected a residual that is a product');
    this.#productTerms ??= await encodeProduct(this.#readable, this.#product);
    return this.#productTerms;
  }

  async exact(): Promise<EncodedTerm> {
    this.#exact ??= await encodeRowsExactly(this.#readable, 0, this.#readable.pair.commonRows);
    return this.#exact;
  }

  /** Those of the weighted residual. */
  get #components(): RegrowableSvd {
    this.#svd ??= new RegrowableSvd(this.#weighted());
    return this.#svd;
  }

  /** R · diag(√weights), whose leading components serve the weighted error best. */
  #weighted(): MatrixStream {
    const { columnWeights } = this;
    if (columnWeights === undefined) return this.stream;
    const { crew } = this.#streamOptions;
    return weightColumns(this.stream, columnWeights, crew && ((pass) => crew.offer(pass, true)));
  }
}

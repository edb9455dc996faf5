/** Leading singular values of an encode's residuals, looked for as far as an allocation needs them. */
import { type AllocateOptions, type AllocationResult, allocate } from '../allocation/allocate.js';
import type { AllocationTarget } from '../allocation/allocation.js';
import type { SvdGrowth } from '../linalg/growing-svd.js';
import type { SpectrumRequest, SpectrumResult } from './encode-jobs.js';
import { allocationTensor, type ResidualState, rankLimit, type TensorConstraints } from './residual-state.js';
import type { SessionJobs } from './session-jobs.js';

export class ResidualSpectra {
  readonly #jobs: SessionJobs;
  readonly #constraints: TensorConstraints;
  readonly #growths: SvdGrowth[];

  /** @param growths by pair; kept up to date here */
  constructor(jobs: SessionJobs, constraints: TensorConstraints, growths: SvdGrowth[]) {
    this.#jobs = jobs;
    this.#constraints = constraints;
    this.#growths = growths;
  }

  /** What a thread is asked for. */
  request(maxRank: number): SpectrumRequest {
    const { recoverProducts: recover, sampleRows: sample = false } = this.#constraints;
    return { maxRank, recover, sample };
  }

  /** Takes in what a thread has found. */
  set(state: ResidualState, spectrum: SpectrumResult): void {
    const { singularValues, asked, growth, productBits, productByteLength } = spectrum;
    const { commonRows, columns } = this.#jobs.pairs[state.pair]!;
    const known = singularValues.length;
    state.singularValues = singularValues;
    state.isComplete ||= known < asked || known === Math.min(commonRows, columns);
    state.productBits = productBits;
    state.productByteLength = productByteLength;
    this.#growths[state.pair] = growth;
  }

  /** Computes what is missing of the leading values that are wanted of each. */
  async extend(states: readonly ResidualState[], rankOf: (state: ResidualState) => number): Promise<void> {
    const wanted = new Map(
      states
        .filter((state) => !state.isComplete && state.singularValues.length < rankOf(state))
        .map((state) => [state.pair, state]),
    );
    await this.#jobs.forEach('analyse', [...wanted.keys()], async (pair) => {
      const state = wanted.get(pair)!;
      const spectrum = this.request(rankOf(state));
      this.set(state, await this.#jobs.run({ kind: 'spectrum', pair, spectrum }));
    });
  }

  /** Computes spectra up to `maxRank`, then allocates; spectra that turn out too short are doubled. */
  async allocate(
    states: readonly ResidualState[],
    target: AllocationTarget,
    options: AllocateOptions,
    maxRank: number,
  ): Promise<AllocationResult> {
    await this.extend(states, () => maxRank);
    for (;;) {
      const tensors = states.map((state) =>
        allocationTensor(state, this.#jobs.pairs[state.pair]!, this.#constraints),
      );
      const result = allocate(tensors, target, options);
      const short = states.filter((state, i) => {
        const { choice } = result.points[i]!;
        return (
          choice.kind === 'low-rank' &&
          choice.rank === state.singularValues.length &&
          choice.rank < rankLimit(state, this.#constraints) &&
          !state.isComplete
        );
      });
      if (short.length === 0) return result;
      await this.extend(short, (state) => 2 * state.singularValues.length);
    }
  }
}

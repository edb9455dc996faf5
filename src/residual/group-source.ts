/** The residuals of tensors with the same inputs while they are encoded together, and the components of their stack. */
import type { LowRankFactors } from '../codecs/low-rank.js';
import type { GemmEngine } from '../linalg/gemm-engine.js';
import { stackRows } from '../linalg/stack-rows.js';
import { truncatedSvd } from '../linalg/truncated-svd.js';
import { encodeGroup, type ResidualGroup } from '../rate-distortion/encode-group.js';
import { estimateResidual, type ResidualEncoding } from '../rate-distortion/encode-residual.js';
import type { ReadablePair } from './analyse-tensor.js';
import { type EncodedTensor, encodeExact, encodeTensor, finishTensor } from './encode-tensor.js';
import { PairSource, type PairSourceOptions } from './pair-source.js';

export interface GroupMemberOptions {
  readonly readable: ReadablePair;
  /** ‖R‖². */
  readonly energy: number;
}

/** Larger parts of the tensors' own bytes may be cheaper exactly, which members decide on alone. */
const EXACT_SHARE = 0.25;

/**
 * The members' sources are the group's own, so that results depend neither on the thread nor on what else was asked
 * of them there.
 */
export class GroupSource {
  readonly #members: readonly (GroupMemberOptions & { readonly source: PairSource })[];
  readonly #engine: () => Promise<GemmEngine>;
  /** All components: as much work as a few of them, for matrices as small as those of groups. */
  #factors: LowRankFactors | undefined;

  constructor(
    members: readonly GroupMemberOptions[],
    options: Pick<PairSourceOptions, 'engine' | 'cacheByteLimit'>,
  ) {
    this.#engine = options.engine;
    this.#members = members.map(({ readable, energy }) => {
      const source = new PairSource({ readable, ...options, columnWeights: undefined });
      source.squaredResidual = energy;
      return { readable, energy, source };
    });
  }

  /** Bytes of the components. */
  get factorByteLength(): number {
    return this.#factors === undefined ? 0 : this.#factors.u.byteLength + this.#factors.v.byteLength;
  }

  dropFactors(): void {
    this.#factors = undefined;
  }

  /**
   * Lets go of the members' residuals and components, which are made again when they are asked for, and of what is
   * known of their spectra: a group that is encoded again begins as the first time, so that a resumed run does too.
   */
  dropMembers(): void {
    for (const { source } of this.#members) {
      source.dropStream();
      source.dropResults();
      source.dropSample();
      source.forgetSpectrum();
    }
  }

  /**
   * Every member over one basis where that costs no more than what they are estimated to take alone, else each alone.
   * In the order of the members.
   */
  async encode(encoding: ResidualEncoding): Promise<EncodedTensor[]> {
    const { kernels } = this.#members[0]!.readable.runtime;
    const together = await encodeGroup(this.#group(), encoding, kernels, await this.#engine());
    const bitCost = 8 * encoding.lambda * encoding.step ** 2;
    let alone = 0;
    for (const { source } of this.#members) {
      const { byteLength, squaredError } = await estimateResidual(source, encoding, kernels);
      alone += squaredError + bitCost * byteLength;
    }
    const own = this.#members.reduce((sum, { readable }) => sum + readable.pair.fineTuned.byteLength, 0);
    const isShared = together.cost <= alone && together.byteLength < EXACT_SHARE * own;
    const encoded: EncodedTensor[] = [];
    for (const [i, { readable, source }] of this.#members.entries()) {
      const choice = { kind: 'rate-distortion', ...encoding } as const;
      if (!isShared) {
        encoded.push(await encodeTensor(readable, choice, source, []));
        continue;
      }
      const { terms } = together.members[i]!;
      const singularValues = await source.singularValues(1);
      const finished = await finishTensor(readable, terms);
      // As encodeTensor does with what was rounded beyond the largest value of its dtype.
      encoded.push(
        Number.isFinite(finished.squaredError)
          ? { ...finished, singularValues, sharesBasis: true }
          : { ...(await encodeExact(readable, source, [])), singularValues },
      );
    }
    return encoded;
  }

  #group(): ResidualGroup {
    const streams = this.#members.map(({ source }) => source.stream);
    return {
      members: this.#members.map(({ energy }, i) => ({ stream: streams[i]!, energy })),
      factors: async () => {
        const stack = stackRows(streams);
        const maxRank = Math.min(stack.rows, stack.columns);
        this.#factors ??= await truncatedSvd(stack, { maxRank, engine: await this.#engine() });
        return this.#factors;
      },
    };
  }
}

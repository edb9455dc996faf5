/**
 * Residuals of tensors that read the same activations (query, key and value; gate and up), coded together: low-rank
 * parts over one basis (encode-subspace.ts). What a group costs can be held against the sum of what its members
 * cost alone.
 */
import type { EncodedTerm } from '../codecs/codec.js';
import type { LowRankFactors } from '../codecs/low-rank.js';
import type { Kernels } from '../kernels/kernels.js';
import type { GemmEngine } from '../linalg/gemm-engine.js';
import type { FactorEncoding } from './encode-factors.js';
import { encodeSubspace } from './encode-subspace.js';
import { planSubspace } from './plan-subspace.js';
import { type GroupMember, stackedSource } from './subspace-source.js';

export interface ResidualGroup {
  /** Residuals of the same columns. */
  readonly members: readonly GroupMember[];
  /** The leading components of the members' rows stacked in order: at least `rank`, or all there are. */
  factors(rank: number): Promise<LowRankFactors>;
}

export interface EncodedGroup {
  /** By member; no terms where a residual is left out. Terms of several members share chunks. */
  readonly members: readonly { readonly terms: readonly EncodedTerm[]; readonly squaredError: number }[];
  /** Payload, shared chunks once. */
  readonly byteLength: number;
  /** Σ‖R − R̂‖² + λ·bits, in squared weight units. */
  readonly cost: number;
}

/** Components to begin with; twice as many as long as all lie above water. */
const FIRST_RANK = 32;
/** As for single residuals: planning a little more than bits are worth measured better. */
const PLAN_LAMBDA = 0.8;

export async function encodeGroup(
  group: ResidualGroup,
  encoding: FactorEncoding,
  kernels: Kernels,
  engine: GemmEngine,
): Promise<EncodedGroup> {
  const { members } = group;
  const energy = members.reduce((sum, member) => sum + member.energy, 0);
  const length = members.reduce((sum, { stream }) => sum + stream.rows, 0);
  const dimension = members[0]?.stream.columns ?? 0;
  const most = Math.min(length, dimension);
  const options = { step: encoding.step, lambda: PLAN_LAMBDA * encoding.lambda };
  for (let asked = Math.min(most, FIRST_RANK); ; asked = Math.min(most, 2 * asked)) {
    const svd = await group.factors(asked);
    const { singularValues } = svd;
    const { rank } = planSubspace({ dimension, length, energy, singularValues }, options);
    if (rank >= asked && asked < most) continue;
    const source = stackedSource(members, svd, rank, engine);
    const found = rank === 0 ? undefined : await encodeSubspace(source, encoding, kernels, engine);
    if (found === undefined || found.cost >= energy) {
      const untouched = members.map((member) => ({ terms: [], squaredError: member.energy }));
      return { members: untouched, byteLength: 0, cost: energy };
    }
    return {
      members: found.parts.map((part, t) => ({
        terms: part === undefined ? [] : [part.term],
        squaredError: found.squaredErrors[t],
      })),
      byteLength: found.byteLength,
      cost: found.cost,
    };
  }
}

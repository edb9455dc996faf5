/**
 * Tensors as an encode has them coded and finished: anew only where the choice changed, and from the store where an
 * interrupted run has left them.
 */
import type { Digest } from '../../formats/ere/archive-index.js';
import { IntegrityError } from '../../formats/errors.js';
import type { Choice, RateDistortionChoice } from '../allocation/operating-points.js';
import { movableBuffers } from '../io/movable-buffers.js';
import type { SvdGrowth } from '../linalg/growing-svd.js';
import type { AnalyseResult } from './encode-jobs.js';
import type { EncodedTensor } from './encode-tensor.js';
import { shareBasis } from './encode-units.js';
import type { SessionJobs } from './session-jobs.js';
import {
  loadTerms,
  ownPayloads,
  type StoredTensor,
  type StoredTerm,
  type TensorStore,
} from './stored-chunks.js';

export interface TensorEncoderOptions {
  readonly jobs: SessionJobs;
  /** By pair; there by the time a pair is encoded. */
  readonly analyses: readonly AnalyseResult[];
  readonly store: TensorStore;
  /** As in TensorConstraints: products are coded otherwise. */
  readonly recoverProducts: boolean;
}

/** Pairs that are coded together by a choice. */
function groupOf(choice: Choice): readonly number[] | undefined {
  return choice.kind === 'rate-distortion' ? choice.group : undefined;
}

export class TensorEncoder {
  /** By pair how components were looked for so far: factors follow from it. Whoever looks for more says so here. */
  readonly growths: SvdGrowth[] = [];
  readonly #jobs: SessionJobs;
  readonly #analyses: TensorEncoderOptions['analyses'];
  readonly #store: TensorStore;
  readonly #recoverProducts: boolean;
  readonly #encoded = new Map<number, { readonly key: string; readonly result: StoredTensor }>();
  readonly #refined = new Map<number, { readonly of: StoredTensor; readonly terms: readonly StoredTerm[] }>();

  constructor({ jobs, analyses, store, recoverProducts }: TensorEncoderOptions) {
    this.#jobs = jobs;
    this.#analyses = analyses;
    this.#store = store;
    this.#recoverProducts = recoverProducts;
  }

  /** A pair as it was encoded last. */
  encoded(pair: number): StoredTensor | undefined {
    return this.#encoded.get(pair)?.result;
  }

  /** The terms that `refine` put on top of a pair's. */
  refined(pair: number): readonly StoredTerm[] | undefined {
    return this.#refined.get(pair)?.terms;
  }

  /** Takes in a tensor without a choice, which its analysis has finished. */
  async keep(pair: number, encoded: EncodedTensor): Promise<void> {
    const choice: Choice = { kind: 'none' };
    const key = this.#storeKey(pair, choice);
    const result = this.#store.find(key) ?? (await this.#store.put(key, encoded));
    this.#encoded.set(pair, { key: JSON.stringify(choice), result });
  }

  /** Encodes those of the pairs whose choice is not the one they were last encoded with. */
  async encode(pairs: readonly number[], choiceOf: (pair: number) => Choice): Promise<void> {
    const pending = pairs.flatMap((pair) => {
      const choice = choiceOf(pair);
      return this.#encoded.get(pair)?.key === JSON.stringify(choice) ? [] : [{ pair, choice }];
    });
    /** By pair, or by the first one of a group. */
    const byPair = new Map(
      pending.map(({ pair, choice }) => [groupOf(choice)?.[0] ?? pair, choice] as const),
    );
    await this.#jobs.forEach('encode', [...byPair.keys()], async (pair) => {
      const choice = byPair.get(pair)!;
      const group = groupOf(choice);
      const results =
        group === undefined
          ? [await this.#encode(pair, choice)]
          : await this.#encodeGroup(group, choice as RateDistortionChoice);
      for (const [i, member] of (group ?? [pair]).entries())
        this.#encoded.set(member, { key: JSON.stringify(choice), result: results[i]! });
    });
  }

  /**
   * Codes exact terms on top of lossy tensors.
   * @param tensors by pair
   * @throws IntegrityError where they do not make a tensor exact
   */
  async refine(pairs: readonly number[], tensors: readonly (StoredTensor | undefined)[]): Promise<void> {
    await this.#jobs.forEach('refine', pairs, async (pair) => {
      const tensor = tensors[pair]!;
      if (this.#refined.get(pair)?.of === tensor) return;
      const { terms, decodedDigest } = await this.#refine(pair, tensor);
      this.assertExact(pair, decodedDigest);
      this.#refined.set(pair, { of: tensor, terms });
    });
  }

  /** @throws IntegrityError unless the digest is that of the fine-tuned tensor */
  assertExact(pair: number, decodedDigest: Digest): void {
    const { fineTunedDigest } = this.#analyses[pair]!;
    if (decodedDigest === fineTunedDigest) return;
    throw new IntegrityError(
      `tensor "${this.#jobs.pairs[pair]!.fineTuned.name}" as encoded exactly`,
      fineTunedDigest,
      decodedDigest,
      'the checkpoint changed meanwhile, or this build is at fault',
    );
  }

  /** A tensor that an interrupted run has finished, or encodes it. */
  async #encode(pair: number, choice: Choice): Promise<StoredTensor> {
    const key = this.#storeKey(pair, choice);
    const found = this.#store.find(key);
    if (found === undefined) {
      const encoded = await this.#jobs.run({ kind: 'encode', pair, choice });
      if (encoded.growth !== undefined) this.growths[pair] = encoded.growth;
      return this.#store.put(key, encoded);
    }
    const { growth, singularValues } = found;
    const isOther = JSON.stringify(growth) !== JSON.stringify(this.growths[pair]);
    if (isOther && growth !== undefined && singularValues !== undefined) {
      // The thread goes on as if it had encoded the tensor itself: what comes next is the same then.
      await this.#jobs.run({ kind: 'recall', pair, growth, singularValues });
      this.growths[pair] = growth;
    }
    return found;
  }

  /** The same of a group; what a part of it was interrupted in is encoded anew. */
  async #encodeGroup(
    group: readonly number[],
    choice: RateDistortionChoice,
  ): Promise<readonly StoredTensor[]> {
    // A shared basis follows from every member.
    const members = group.map((pair) => this.#pairKey(pair));
    const keys = group.map((_, i) => JSON.stringify([members, 'group', i, choice]));
    const found = keys.map((key) => this.#store.find(key)).filter((tensor) => tensor !== undefined);
    if (found.length === group.length) return shareBasis(found);
    const energies = group.map((pair) => this.#analyses[pair]!.squaredResidual);
    const [pair] = group as [number];
    const tensors = await this.#jobs.run({ kind: 'encode-group', pair, pairs: group, energies, choice });
    const stored: StoredTensor[] = [];
    for (const [i, tensor] of tensors.entries()) stored.push(await this.#store.put(keys[i]!, tensor));
    return shareBasis(stored);
  }

  async #refine(pair: number, tensor: StoredTensor): Promise<StoredTensor> {
    // What the terms decode to follows from their payload.
    const payload = tensor.terms.map(({ codec, rows, params, chunks }) => ({
      codec,
      rows,
      params,
      chunks: chunks.map(({ chunk }) => [chunk.byteLength, chunk.crc32]),
    }));
    const key = JSON.stringify([this.#pairKey(pair), 'refined', tensor.decodedDigest, payload]);
    const found = this.#store.find(key);
    if (found !== undefined) return found;
    const terms = await loadTerms(tensor.terms);
    const job = { kind: 'refine', pair, terms } as const;
    const refinement = await this.#jobs.runAnywhere(job, movableBuffers(ownPayloads(tensor.terms, terms)));
    return this.#store.put(key, { ...refinement, squaredError: 0 });
  }

  /** What an encoded tensor follows from. */
  #storeKey(pair: number, choice: Choice): string {
    return JSON.stringify([this.#pairKey(pair), this.growths[pair], this.#recoverProducts, choice]);
  }

  #pairKey(pair: number): unknown {
    const { fineTunedDigest, baseDigest } = this.#analyses[pair]!;
    const { name, shape, dtype } = this.#jobs.pairs[pair]!.fineTuned;
    return [name, dtype, shape, fineTunedDigest, baseDigest];
  }
}

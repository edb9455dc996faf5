/**
 * Which of several bases a fine-tune belongs to, from sketches: names and shapes say what can be compared,
 * samples of the matrices how far it has moved. A base that was re-sharded, renamed by a prefix or saved in
 * another float type is the same base.
 */
import { elementCount, isFloatDtype } from '../../formats/dtype.js';
import { isVectorShape } from '../../formats/matrix-view.js';
import type { Sketch } from '../../formats/sketch/sketch.js';
import { compareTensors, type TensorRelation } from './compare-tensors.js';
import { distanceOf, UNRELATED_DISTANCE } from './distance.js';
import { describePrefixChange, isSameButForRows, matchNames, type PrefixChange } from './match-names.js';

export interface BaseCandidate {
  /** What it is called in messages. */
  readonly name: string;
  readonly sketch: Sketch;
}

/**
 * - `same`: every tensor is the base's, but for its float type and its name's prefix, as far as samples and digests tell
 * - `fine-tune`: weights have moved from the base's
 * - `unrelated`: another model, or too little in common to say
 */
export type BaseVerdict = 'same' | 'fine-tune' | 'unrelated';

/** How a fine-tune relates to one candidate. Sums over tensors count each by its elements. */
export interface BaseRank {
  readonly name: string;
  readonly verdict: BaseVerdict;
  /** Tensors of the fine-tune with a counterpart in the base of the same shape, or with other rows. */
  readonly matchedTensorCount: number;
  readonly tensorCount: number;
  /** Share of the fine-tune's elements in those tensors, and of the base's. */
  readonly matchedShare: number;
  readonly matchedBaseShare: number;
  readonly prefixChange?: PrefixChange;
  /** √(Σ(w_ft − w_base)² / Σw_base²) over matched matrices; absent without one, and for a base of zeros. */
  readonly relativeResidual?: number;
  /** Median of the same over single matrices. */
  readonly medianRelativeResidual?: number;
  /** Of weights of fine-tune and base, means not subtracted: 1 for the same, 0 for unrelated ones. */
  readonly correlation: number;
  /** Mean of ‖R‖² / (‖W_ft‖² + ‖W_base‖²) over the matrices, 1 for those without a counterpart: from 0, the same, to about 1. */
  readonly distance: number;
  /** Why, in a sentence without its full stop. */
  readonly because: string;
}

/** Share of the fine-tune's or the base's elements that must be matched; as assertPaired asks of bytes. */
const MATCHING_SHARE = 0.5;

/** Sampled matrices agree within the least of these for nine of ten. */
const AGREEMENTS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1] as const;

/** Every candidate, the most fitting first; equal ones in the order given. */
export function rankBases(fineTuned: Sketch, candidates: readonly BaseCandidate[]): BaseRank[] {
  const order: readonly BaseVerdict[] = ['same', 'fine-tune', 'unrelated'];
  return candidates
    .map((candidate) => ({ rank: rankBase(fineTuned, candidate), sketch: candidate.sketch }))
    .map(({ rank, sketch }) => ({ rank, dtypeShare: sameDtypeShare(fineTuned, sketch, rank) }))
    .sort(
      (x, y) =>
        order.indexOf(x.rank.verdict) - order.indexOf(y.rank.verdict) ||
        x.rank.distance - y.rank.distance ||
        y.rank.matchedShare - x.rank.matchedShare ||
        y.dtypeShare - x.dtypeShare,
    )
    .map(({ rank }) => rank);
}

/** How a fine-tune relates to one base. */
export function rankBase(fineTuned: Sketch, { name, sketch: base }: BaseCandidate): BaseRank {
  const { baseNames, prefixChange } = matchNames(base.tensors, fineTuned.tensors);
  const relations: TensorRelation[] = [];
  let [matchedTensorCount, matched, total, unmatchedMatrices, differing] = [0, 0, 0, 0, 0];
  for (const [tensorName, tensor] of fineTuned.tensors) {
    const elements = elementCount(tensor.shape);
    total += elements;
    const baseName = baseNames.get(tensorName);
    const found = baseName === undefined ? undefined : base.tensors.get(baseName);
    if (found === undefined || !isSameButForRows(found.shape, tensor.shape)) {
      if (isFloatDtype(tensor.dtype) && !isVectorShape(tensor.shape)) unmatchedMatrices += elements;
      differing++;
      continue;
    }
    matchedTensorCount++;
    matched += elements;
    const relation = compareTensors(tensor, found);
    if (relation !== undefined) relations.push(relation);
    if (relation?.isIdentical === false) differing++;
  }
  const baseTotal = [...base.tensors.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const telling = relations.filter(({ isTelling }) => isTelling);
  const judged = telling.length > 0 ? telling : relations;
  const matchedElements = judged.reduce((sum, relation) => sum + relation.elementCount, 0);
  const moved = weigh(judged, ({ squaredResidual, squaredFineTuned, squaredBase }) =>
    distanceOf(squaredResidual, squaredFineTuned, squaredBase),
  );
  const measures = {
    matchedTensorCount,
    tensorCount: fineTuned.tensors.size,
    matchedShare: ratio(matched, total),
    // At most all: shapes may differ in rows.
    matchedBaseShare: Math.min(1, ratio(matched, baseTotal)),
    ...residualsOf(judged),
    distance: ratio(moved + unmatchedMatrices, matchedElements + unmatchedMatrices, 1),
  };
  const isMatched = Math.max(measures.matchedShare, measures.matchedBaseShare) >= MATCHING_SHARE;
  const isRelated = matchedElements > 0 && moved <= UNRELATED_DISTANCE * matchedElements;
  const isSame = differing === 0 && relations.length > 0;
  const verdict = isSame ? 'same' : isMatched && isRelated ? 'fine-tune' : 'unrelated';
  return {
    name,
    verdict,
    ...measures,
    ...(prefixChange === undefined ? {} : { prefixChange }),
    because: explain({ ...measures, verdict, prefixChange, isMatched, relations: judged }),
  };
}

/**
 * What to tell about a base that does not fit: which one it really belongs to, or that none fits and how far each is.
 * @param ranks as from rankBases
 * @param asked name of the candidate that was asked for; without it, of any
 */
export function diagnoseBase(ranks: readonly BaseRank[], asked?: string): string {
  const found = ranks.find(({ name }) => name === asked);
  const best = ranks[0];
  if (best === undefined) return 'there is no base to compare with';
  const told = found === undefined ? '' : `"${found.name}" ${RELATIONS[found.verdict]}: ${found.because}`;
  if (best === found && best.verdict !== 'unrelated') return told;
  const link = told === '' ? '' : '; ';
  if (best.verdict !== 'unrelated') {
    return `${told}${link}"${best.name}" ${RELATIONS[best.verdict]}: ${best.because}`;
  }
  const others = ranks.filter((rank) => rank !== found);
  if (others.length === 0) return told;
  const list = others.map(({ name, because }) => `"${name}": ${because}`).join('; ');
  return `${told}${link}no ${told === '' ? '' : 'other '}base fits: ${list}`;
}

const RELATIONS: Readonly<Record<BaseVerdict, string>> = {
  same: 'holds the same weights',
  'fine-tune': 'is near enough to be its base',
  unrelated: 'is not its base',
};

function weigh(relations: readonly TensorRelation[], of: (relation: TensorRelation) => number): number {
  return relations.reduce((sum, relation) => sum + relation.elementCount * of(relation), 0);
}

function ratio(part: number, whole: number, otherwise = 0): number {
  return whole === 0 ? otherwise : part / whole;
}

function relativeResidualOf({
  squaredResidual,
  squaredBase,
}: Pick<TensorRelation, 'squaredResidual' | 'squaredBase'>): number {
  if (squaredResidual === 0) return 0;
  return Math.sqrt(squaredResidual / squaredBase); // Infinity for a base of zeros.
}

function residualsOf(
  relations: readonly TensorRelation[],
): Pick<BaseRank, 'relativeResidual' | 'medianRelativeResidual' | 'correlation'> {
  const sum = (of: (relation: TensorRelation) => number) => weigh(relations, of);
  const squaredResidual = sum((relation) => relation.squaredResidual);
  const squaredBase = sum((relation) => relation.squaredBase);
  const squaredFineTuned = sum((relation) => relation.squaredFineTuned);
  const product = sum((relation) => relation.product);
  const norms = Math.sqrt(squaredBase * squaredFineTuned);
  const sorted = relations.map(relativeResidualOf).sort((x, y) => x - y);
  const residuals = {
    relativeResidual:
      relations.length === 0 ? undefined : relativeResidualOf({ squaredResidual, squaredBase }),
    medianRelativeResidual: sorted[Math.floor(sorted.length / 2)],
  };
  return {
    ...(Object.fromEntries(
      Object.entries(residuals).filter(([, residual]) => Number.isFinite(residual)),
    ) as Pick<BaseRank, keyof typeof residuals>),
    correlation: norms === 0 ? (squaredResidual === 0 ? 1 : 0) : product / norms,
  };
}

/** Share of the fine-tune's tensors that the base has in the same type: the closer of two copies of one base. */
function sameDtypeShare(fineTuned: Sketch, base: Sketch, { prefixChange }: BaseRank): number {
  let same = 0;
  for (const [name, { dtype }] of fineTuned.tensors) {
    const changed =
      prefixChange !== undefined && name.startsWith(prefixChange.fineTuned)
        ? prefixChange.base + name.slice(prefixChange.fineTuned.length)
        : name;
    if ((base.tensors.get(name) ?? base.tensors.get(changed))?.dtype === dtype) same++;
  }
  return ratio(same, fineTuned.tensors.size);
}

interface Explained extends Omit<BaseRank, 'name' | 'because' | 'prefixChange'> {
  readonly prefixChange: PrefixChange | undefined;
  readonly isMatched: boolean;
  readonly relations: readonly TensorRelation[];
}

function explain(rank: Explained): string {
  const { matchedTensorCount, tensorCount, relations, prefixChange } = rank;
  const renamed = prefixChange === undefined ? '' : ` (${describePrefixChange(prefixChange)})`;
  if (rank.verdict === 'same') {
    const values = relations.some(({ squaredResidual }) => squaredResidual > 0)
      ? 'the same values in another float type'
      : 'the same values';
    return `all ${tensorCount} tensors have ${values}${renamed}`;
  }
  if (!rank.isMatched) {
    return `only ${matchedTensorCount} of ${tensorCount} tensors, ${percent(rank.matchedShare)} of the weights, match by name and shape${renamed}`;
  }
  if (relations.length === 0) {
    return `${matchedTensorCount} of ${tensorCount} tensors match by name and shape, but none of them can be compared`;
  }
  if (rank.verdict === 'unrelated') {
    // Scaled copies, as 8-bit floats with scales are.
    const hint = rank.correlation > 0.5 ? ': the same weights at another scale?' : '';
    return (
      `${matchedTensorCount} of ${tensorCount} tensors match by name and shape, but their weights are unrelated ` +
      `(${residualText(rank)}, correlation ${rank.correlation.toFixed(2)})${hint}`
    );
  }
  const sorted = relations.map(relativeResidualOf).sort((x, y) => x - y);
  const mostly = sorted[Math.ceil(0.9 * sorted.length) - 1]!;
  const agreement = AGREEMENTS.find((bound) => mostly <= bound);
  const count = agreement === undefined ? 0 : sorted.filter((residual) => residual <= agreement).length;
  const agreeing =
    agreement === undefined
      ? `${sorted.length} matrices correlate (${rank.correlation.toFixed(2)})`
      : `${count} of ${sorted.length} matrices agree within ${percent(agreement)}`;
  const missing =
    matchedTensorCount === tensorCount
      ? ''
      : `, ${tensorCount - matchedTensorCount} tensors have no counterpart`;
  return `${agreeing} (${residualText(rank)})${missing}${renamed}`;
}

function residualText({ relativeResidual }: Pick<BaseRank, 'relativeResidual'>): string {
  return `relative residual ${relativeResidual?.toPrecision(3) ?? 'unbounded'}`;
}

function percent(share: number): string {
  return `${Number((100 * share).toPrecision(2))} %`;
}

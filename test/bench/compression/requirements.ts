/** What the coder has to reach, what it reached in this run, and whether that is enough. */
import { type CurvePoint, type EqualErrorRatio, equalErrorRatios } from './curve.js';
import type { Measurement } from './measure.js';
import { EQUAL_BYTES_RATIO, type Family, MERGED_LORA_RATIO, type PairKind } from './methods.js';
import { idealScalarBits } from './scalar-quantizer-bound.js';

export type Results = ReadonlyMap<PairKind, readonly Measurement[]>;

/** Bits per byte on held-out text. */
export interface ModelQuality {
  readonly base: number;
  readonly fineTuned: number;
}

export interface Speed {
  readonly encodeMs: number;
  readonly decodeMs: number;
}

export interface Requirement {
  readonly what: string;
  readonly target: string;
  readonly measured: string;
  /** 'met', 'missed by …' or 'not measured'. */
  readonly verdict: string;
}

/** Share of the fine-tune's gain over the base that is kept. */
export function gainKept(bitsPerByte: number, quality: ModelQuality): number {
  return (quality.base - bitsPerByte) / (quality.base - quality.fineTuned);
}

interface Bound {
  readonly what: string;
  readonly limit: number;
  readonly kind: 'at most' | 'at least';
  readonly value: number | undefined;
  readonly format: (value: number) => string;
  /** Behind the measured value. */
  readonly detail?: string | undefined;
}

/** One row: the value against the limit, not rounded. */
export function requirement({ what, limit, kind, value, format, detail }: Bound): Requirement {
  const target = `${kind} ${format(limit)}`;
  if (value === undefined) return { what, target, measured: '–', verdict: 'not measured' };
  const isMet = kind === 'at most' ? value <= limit : value >= limit;
  const measured = detail === undefined ? format(value) : `${format(value)} (${detail})`;
  const miss = limit === 0 ? '' : ` by ${((100 * Math.abs(value - limit)) / limit).toFixed(1)} %`;
  return { what, target, measured, verdict: isMet ? 'met' : `missed${miss}` };
}

const percent =
  (digits: number) =>
  (share: number): string =>
    `${(100 * share).toFixed(digits)} %`;
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

export function requirements(
  results: Results,
  quality: ModelQuality | undefined,
  speed: Speed,
): Requirement[] {
  return [
    ...equalErrors(results),
    equalBytes(results, quality),
    exactSize(results, 'low-rank-noise', 'low-rank + noise, bit-exact: share of the file', 0.3, 2),
    exactSize(results, 'sparse-step', 'sparse step, bit-exact: share of the file', 0.0065, 3),
    exactSize(results, 'tinylm', 'tinylm, bit-exact: share of the file', 0.485, 2),
    ...gaussian(results),
    ...mergedLora(results),
    requirement({
      what: 'tinylm: encode at 6 %',
      limit: 10_000,
      kind: 'at most',
      value: speed.encodeMs,
      format: seconds,
    }),
    requirement({
      what: 'tinylm: decode',
      limit: 3000,
      kind: 'at most',
      value: speed.decodeMs,
      format: seconds,
    }),
  ];
}

function pointsOf(results: Results, kind: PairKind, family: Family): CurvePoint[] {
  return (results.get(kind) ?? []).filter((point) => point.family === family);
}

/** What the default is compared with at equal error. */
const REFERENCES = [
  { kind: 'heavy-tailed', reference: 'ere-paper', limit: 0.4 },
  { kind: 'heavy-tailed', reference: 'bitdelta', limit: 0.15 },
  { kind: 'tinylm', reference: 'ere-paper', limit: 0.62 },
  { kind: 'tinylm', reference: 'bitdelta', limit: 0.36 },
] as const satisfies readonly { kind: PairKind; reference: Family; limit: number }[];

export interface Comparison extends EqualErrorRatio {
  readonly kind: PairKind;
  readonly reference: Family;
}

/** Bits of the default over those of the others, at every error where they were measured. */
export function comparisons(results: Results): Comparison[] {
  return REFERENCES.flatMap(({ kind, reference }) =>
    equalErrorRatios(pointsOf(results, kind, 'default'), pointsOf(results, kind, reference)).map((ratio) => ({
      kind,
      reference,
      ...ratio,
    })),
  );
}

/** The largest ratio over all errors counts. */
function equalErrors(results: Results): Requirement[] {
  const all = comparisons(results);
  return REFERENCES.map(({ kind, reference, limit }) => {
    const ratios = all
      .filter((comparison) => comparison.kind === kind && comparison.reference === reference)
      .map(({ ratio }) => ratio);
    return requirement({
      what: `${kind}: bytes of the matrices at the same error, over ${reference}`,
      limit,
      kind: 'at most',
      value: ratios.length === 0 ? undefined : Math.max(...ratios),
      format: percent(1),
      detail: ratios.length > 1 ? `${percent(1)(Math.min(...ratios))} at best` : undefined,
    });
  });
}

function equalBytes(results: Results, quality: ModelQuality | undefined): Requirement {
  const all = (results.get('tinylm') ?? []).filter((point) => point.share <= EQUAL_BYTES_RATIO * 1.05);
  const keptBy = (family: Family): number | undefined => {
    const largest = all
      .filter((point) => point.family === family && point.share > EQUAL_BYTES_RATIO * 0.95)
      .map(({ bitsPerByte }) => bitsPerByte)
      .filter((value) => value !== undefined);
    return quality === undefined || largest.length === 0
      ? undefined
      : gainKept(Math.min(...largest), quality);
  };
  const others = (['ere-paper', 'delta-come', 'bitdelta'] as const).flatMap((family) => {
    const kept = keptBy(family);
    return kept === undefined ? [] : [`${family} ${percent(1)(kept)}`];
  });
  return requirement({
    what: 'tinylm: gain in bits per byte kept at 6.25 % of the bytes',
    limit: 0.965,
    kind: 'at least',
    value: keptBy('default'),
    format: percent(1),
    detail: others.length === 0 ? undefined : others.join(', '),
  });
}

/** The smaller of the two ways to store a checkpoint bit for bit. */
function exactSize(
  results: Results,
  kind: PairKind,
  what: string,
  limit: number,
  digits: number,
): Requirement {
  const measured = results.get(kind) ?? [];
  const shares = measured
    .filter(
      ({ family, squaredError }) =>
        squaredError === 0 && (family === 'lossless' || family === 'exact on top'),
    )
    .map(({ share }) => share);
  const parts = measured
    .filter(({ family }) => family === 'lossless' || family === 'exact on top' || family === 'xor')
    .map(({ method, share }) => `${method.name} ${percent(digits)(share)}`);
  return requirement({
    what,
    limit,
    kind: 'at most',
    value: shares.length === 0 ? undefined : Math.min(...shares),
    format: percent(digits),
    detail: parts.length === 0 ? undefined : parts.join(', '),
  });
}

/** Distances from the ideal scalar quantiser: that of the default, and the gain of effort max at one bit and over. */
function gaussian(results: Results): Requirement[] {
  const over = (family: Family, leastBits: number): number[] =>
    pointsOf(results, 'gaussian', family)
      .filter(({ bitsPerWeight }) => bitsPerWeight >= leastBits)
      .map(({ bitsPerWeight, squaredError }) => bitsPerWeight - idealScalarBits(squaredError));
  const scalar = over('default', 0);
  // A budget of one bit gives a little less than that to the matrix.
  const trellis = over('effort max', 0.95);
  const format = (bits: number): string => `${bits.toFixed(3)} bits`;
  return [
    requirement({
      what: 'Gaussian: bits per weight over the ideal scalar quantiser, at 0.25 to 2 bits',
      limit: 0.05,
      kind: 'at most',
      value: scalar.length === 0 ? undefined : Math.max(...scalar),
      format,
    }),
    requirement({
      what: 'Gaussian: bits per weight of effort max under the ideal scalar quantiser, at 1 and 2 bits',
      limit: 0.1,
      kind: 'at least',
      value: trellis.length === 0 ? undefined : -Math.max(...trellis),
      format,
    }),
  ];
}

function mergedLora(results: Results): Requirement[] {
  const point = (results.get('merged-lora') ?? []).find(({ family }) => family === 'default');
  const rows: Bound[] = [
    {
      what: 'merged LoRA: rank found, above or below 16',
      limit: 0,
      kind: 'at most',
      value: point && Math.abs(point.rank - 16),
      format: String,
      detail: point && `rank ${point.rank}`,
    },
    {
      what: 'merged LoRA: share of the file',
      limit: MERGED_LORA_RATIO,
      kind: 'at most',
      value: point?.share,
      format: percent(2),
    },
    {
      what: 'merged LoRA: largest error, in ulps of the larger of base and fine-tuned weight',
      limit: 1,
      kind: 'at most',
      value: point?.ulps.largestError,
      format: (value) => value.toFixed(2),
    },
    {
      what: 'merged LoRA: weights within one ulp of their own',
      limit: 1,
      kind: 'at least',
      value: point?.ulps.neighbourShare,
      format: percent(3),
    },
    {
      what: 'merged LoRA: weights with the same bits',
      limit: 0.9,
      kind: 'at least',
      value: point?.ulps.equalShare,
      format: percent(1),
    },
  ];
  return rows.map(requirement);
}

/** What the coder has to reach, what it reached in this run, and whether that is enough. */
import { type CurvePoint, equalErrorRatios } from './curve.js';
import type { Measurement } from './measure.js';
import { EQUAL_BYTES_RATIO, type Family, MERGED_LORA_RATIO, type PairKind } from './methods.js';

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
    equalError(results, 'heavy-tailed', 'ere-paper', 0.4),
    equalError(results, 'heavy-tailed', 'bitdelta', 0.15),
    equalError(results, 'tinylm', 'ere-paper', 0.62),
    equalError(results, 'tinylm', 'bitdelta', 0.36),
    equalBytes(results, quality),
    exactSize(results, 'low-rank-noise', 'low-rank + noise, bit-exact: share of the file', 0.3, 2),
    exactSize(results, 'sparse-step', 'sparse step, bit-exact: share of the file', 0.0065, 3),
    exactSize(results, 'tinylm', 'tinylm, bit-exact: share of the file', 0.485, 2),
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

/** The worst ratio over all errors at which the reference was measured. */
function equalError(results: Results, kind: PairKind, reference: Family, limit: number): Requirement {
  const ratios = equalErrorRatios(pointsOf(results, kind, 'default'), pointsOf(results, kind, reference));
  const worst = ratios.reduce((most, { ratio }) => Math.max(most, ratio), 0);
  const parts = ratios.map(
    ({ squaredError, referenceBits, bits }) =>
      `${bits.toFixed(3)} against ${referenceBits.toFixed(2)} bits at ${squaredError.toFixed(3)}`,
  );
  return requirement({
    what: `${kind}: bytes of the matrices at the same error, over ${reference} at its best`,
    limit,
    kind: 'at most',
    value: ratios.length === 0 ? undefined : worst,
    format: percent(1),
    detail: parts.join('; '),
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
      what: 'merged LoRA: largest distance of a weight, in ulps',
      limit: 1,
      kind: 'at most',
      value: point?.ulps.largestDistance,
      format: String,
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

/** What is measured: every method at its budgets, as options of encode, and one method from outside. */
import type { EncodeOptions, EncodeReport } from '../../../src/index.js';

export type PairKind =
  | 'tinylm'
  | 'low-rank-noise'
  | 'heavy-tailed'
  | 'sparse-step'
  | 'master-step'
  | 'gaussian'
  | 'merged-lora';

/** A method that makes one line of a rate–distortion plot. */
export type Family =
  | 'default'
  | 'effort max'
  | 'effort fast'
  | 'ere-paper'
  | 'bitdelta'
  | 'delta-come'
  | 'lora'
  | 'lossless'
  | 'exact on top'
  | 'xor';

/** Options of encode, also those that this version of it may not have yet. */
export type MethodOptions = Omit<Partial<EncodeOptions>, 'allocation'> & {
  readonly allocation?: string;
  readonly effort?: 'fast' | 'default' | 'max';
  readonly lossless?: boolean;
  readonly exactOnTop?: boolean;
};

export interface Method {
  readonly family: Family;
  /** Unique within a pair; for tables. */
  readonly name: string;
  /** Undefined for what is measured without encode. */
  readonly options?: MethodOptions;
  /** Whether a report is one of this method: an encode that does not know an option may ignore it. */
  readonly isMeasured?: (report: EncodeReport) => boolean;
  /** Also part of a quick run. */
  readonly quick?: boolean;
}

const percent = (ratio: number): string => `${Number((ratio * 100).toPrecision(4))} %`;

const RATE_DISTORTION: Pick<Method, 'isMeasured'> = {
  isMeasured: (report) => String(report.allocation) === 'rate-distortion',
};

const EXACT: Pick<Method, 'isMeasured'> = {
  isMeasured: (report) => report.tensors.every((tensor) => tensor.relativeError === 0),
};

function rateDistortion(effort: 'fast' | 'default' | 'max', ratio: number, quick = false): Method {
  const family: Family = effort === 'default' ? 'default' : `effort ${effort}`;
  const options: MethodOptions = {
    allocation: 'rate-distortion',
    budget: { kind: 'ratio', ratio },
    // Without an effort of its own, so that this is what a user gets who says nothing.
    ...(effort === 'default' ? {} : { effort }),
  };
  return { family, name: `${family}, ${percent(ratio)}`, options, ...RATE_DISTORTION, quick };
}

/** The paper's method with the width and the ranks that are best for the pair. */
function erePaper(
  ratio: number,
  choice: Pick<MethodOptions, 'bits' | 'allocation'> = {},
  quick = false,
): Method {
  const { bits, allocation } = choice;
  const details = [
    percent(ratio),
    ...(allocation === undefined ? [] : [allocation]),
    ...(bits === undefined ? [] : [`${bits} bits`]),
  ];
  const options: MethodOptions = { preset: 'ere-paper', budget: { kind: 'ratio', ratio }, ...choice };
  return { family: 'ere-paper', name: ['ere-paper', ...details].join(', '), options, quick };
}

const bitdelta: Method = {
  family: 'bitdelta',
  name: 'bitdelta',
  options: { preset: 'bitdelta' },
  quick: true,
};

function deltaCome(ratio: number, quick = false): Method {
  const options: MethodOptions = { preset: 'delta-come', budget: { kind: 'ratio', ratio } };
  return { family: 'delta-come', name: `delta-come, ${percent(ratio)}`, options, quick };
}

function lora(rank: number, bits?: number, quick = false): Method {
  const options: MethodOptions = {
    preset: 'lora',
    budget: { kind: 'rank', rank },
    ...(bits === undefined ? {} : { bits }),
  };
  const details = bits === undefined ? '' : `, ${bits} bits`;
  return { family: 'lora', name: `lora, rank ${rank}${details}`, options, quick };
}

const lossless: Method = {
  family: 'lossless',
  name: 'lossless',
  options: { lossless: true },
  ...EXACT,
  quick: true,
};

function exactOnTop(ratio: number): Method {
  const options: MethodOptions = { exactOnTop: true, budget: { kind: 'ratio', ratio } };
  return { family: 'exact on top', name: `exact on top of ${percent(ratio)}`, options, ...EXACT };
}

const xor: Method = { family: 'xor', name: 'XOR + byte planes + deflate', quick: true };

const exactMethods = (ratio: number): Method[] => [lossless, exactOnTop(ratio), xor];

/** The budget at which 16-bit weights take one bit each. */
export const EQUAL_BYTES_RATIO = 1 / 16;

/** At most 1.2 % of the file for a merged LoRA of rank 16. */
export const MERGED_LORA_RATIO = 0.012;

/** Methods by pair. Ratios of bf16 bytes: 1/64 is 0.25 bits a weight, 3/16 is 3. */
export const METHODS: Readonly<Record<PairKind, readonly Method[]>> = {
  tinylm: [
    ...[0.008, 0.01, 0.02, 0.03, 0.045].map((ratio) => rateDistortion('default', ratio)),
    rateDistortion('default', EQUAL_BYTES_RATIO, true),
    ...[0.09, 0.115, 0.14].map((ratio) => rateDistortion('default', ratio)),
    rateDistortion('fast', EQUAL_BYTES_RATIO),
    rateDistortion('max', EQUAL_BYTES_RATIO),
    ...[1 / 64, 1 / 32].map((ratio) => erePaper(ratio)),
    erePaper(EQUAL_BYTES_RATIO, {}, true),
    ...[4, 5].map((bits) => erePaper(EQUAL_BYTES_RATIO, { bits })),
    erePaper(EQUAL_BYTES_RATIO, { allocation: 'uniform' }),
    ...[3 / 32, 1 / 8, 3 / 16].map((ratio) => erePaper(ratio)),
    bitdelta,
    ...[1 / 32, EQUAL_BYTES_RATIO, 1 / 8].map((ratio) => deltaCome(ratio)),
    ...[8, 16, 32].map((rank) => lora(rank)),
    ...exactMethods(EQUAL_BYTES_RATIO),
  ],
  'heavy-tailed': [
    ...[0.0005, 0.0015, 0.003, 0.006].map((ratio) => rateDistortion('default', ratio)),
    rateDistortion('default', 0.0125, true),
    ...[0.025, 0.05].map((ratio) => rateDistortion('default', ratio)),
    ...[0.006, 0.025, 0.05].map((ratio) => rateDistortion('max', ratio)),
    erePaper(1 / 64),
    erePaper(1 / 64, { bits: 5 }),
    erePaper(1 / 32, {}, true),
    erePaper(1 / 32, { bits: 5 }),
    erePaper(EQUAL_BYTES_RATIO),
    ...[4, 5, 6, 8].map((bits) => erePaper(EQUAL_BYTES_RATIO, { bits })),
    erePaper(1 / 8, { bits: 5 }),
    erePaper(3 / 16, { bits: 5 }),
    bitdelta,
    deltaCome(EQUAL_BYTES_RATIO),
    ...[8, 32].map((rank) => lora(rank)),
    ...exactMethods(0.025),
  ],
  'low-rank-noise': [
    ...[0.005, 0.02, EQUAL_BYTES_RATIO].map((ratio) => rateDistortion('default', ratio)),
    ...[1 / 64, EQUAL_BYTES_RATIO].map((ratio) => erePaper(ratio)),
    bitdelta,
    deltaCome(EQUAL_BYTES_RATIO),
    lora(8),
    ...exactMethods(0.005),
  ],
  'sparse-step': [rateDistortion('default', 0.02), bitdelta, lossless, xor],
  'master-step': [lossless, xor],
  gaussian: [
    ...[1 / 64, 1 / 32, EQUAL_BYTES_RATIO, 1 / 8].map((ratio) => rateDistortion('default', ratio)),
    ...[1 / 64, 1 / 32, EQUAL_BYTES_RATIO, 1 / 8].map((ratio) => rateDistortion('max', ratio)),
    bitdelta,
  ],
  'merged-lora': [
    rateDistortion('default', MERGED_LORA_RATIO),
    erePaper(MERGED_LORA_RATIO),
    bitdelta,
    lora(16),
    lora(16, 11),
    lossless,
    xor,
  ],
};

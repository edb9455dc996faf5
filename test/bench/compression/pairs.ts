/** The pairs of the benchmark: one real fine-tune, and generated ones with one property each. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GAUSSIAN_DEVIATION, gaussianPair } from '../../helpers/pairs/gaussian.js';
import { HEAVY_TAILED, heavyTailedPair } from '../../helpers/pairs/heavy-tailed.js';
import { LOW_RANK_NOISE, lowRankNoisePair } from '../../helpers/pairs/low-rank-noise.js';
import { MERGED_LORA, mergedLoraPair } from '../../helpers/pairs/merged-lora.js';
import { type GeneratedPair, type PairSize, writePair } from '../../helpers/pairs/pair.js';
import {
  CHANGED_SHARE,
  MASTER_STEP,
  masterStepPair,
  sparseStepPair,
} from '../../helpers/pairs/sparse-step.js';
import { tinylm } from '../../helpers/tinylm.js';
import { heldOutText, loadPair, type Pair } from './measure.js';
import type { PairKind } from './methods.js';

interface PairSource {
  readonly title: string;
  readonly description: string;
  /** Undefined for the real one. */
  readonly generate?: (size?: PairSize) => GeneratedPair;
}

const { rank, lowRankDeviation, noiseDeviation } = LOW_RANK_NOISE;

export const PAIRS: Readonly<Record<PairKind, PairSource>> = {
  tinylm: {
    title: 'tinylm, base → python',
    description:
      'A byte-level language model of 4.9 M weights and its full fine-tune on Python source, both bf16 ' +
      '(test/fixtures/tinylm). Nearly Gaussian residuals in matrices of 256 columns: the hard case. Bits per byte ' +
      'are those of the decoded model on held-out Python source.',
  },
  'heavy-tailed': {
    title: 'Heavy-tailed',
    description:
      'Generated, bf16: two matrices of 1024 × 1024, base N(0, 0.02²), residual ' +
      `${HEAVY_TAILED.deviation} × Student's t with 3 degrees of freedom × lognormal row and column scales ` +
      `(spread of the logarithm ${HEAVY_TAILED.logScaleDeviation}).`,
    generate: heavyTailedPair,
  },
  'low-rank-noise': {
    title: 'Low-rank + noise',
    description:
      `Generated, bf16: two matrices of 1536 × 1024, base N(0, 0.02²), residual of rank ${rank} with entries of ` +
      `standard deviation ${lowRankDeviation}, and noise N(0, (${noiseDeviation})²).`,
    generate: lowRankNoisePair,
  },
  'sparse-step': {
    title: 'Sparse step',
    description:
      `Generated, bf16: two matrices of 1536 × 1024, base N(0, 0.02²); ${100 * CHANGED_SHARE} % of the weights, ` +
      'drawn independently, moved by one unit in the last place, up or down.',
    generate: sparseStepPair,
  },
  'master-step': {
    title: 'Step of master weights',
    description:
      'Generated, bf16: two matrices of 1536 × 1024; both checkpoints are roundings of float32 master weights ' +
      `N(0, 0.02²), which moved by N(0, (${MASTER_STEP})²) each in between. That leaves about 99 % as they were, and ` +
      'changes are where weights are small: what a step of reinforcement learning looks like.',
    generate: masterStepPair,
  },
  gaussian: {
    title: 'Gaussian',
    description:
      `Generated, bf16: one matrix of 1024 × 1024, base N(0, 0.02²), residual N(0, (${GAUSSIAN_DEVIATION})²): nothing to ` +
      'find, so what counts is the distance to the ideal entropy-coded scalar quantiser, in bits at the same error.',
    generate: gaussianPair,
  },
  'merged-lora': {
    title: 'Merged LoRA',
    description:
      `Generated, bf16: one matrix of 2048 × 2048, base W = N(0, 0.02²), fine-tuned round_bf16(W + B·A) of rank ${MERGED_LORA.rank}, ` +
      `where entries of B·A (its factor alpha / r in it) have a standard deviation of ${MERGED_LORA.updateDeviation}. ` +
      'Errors are over the rounded residual, which has the rounding in it.',
    generate: mergedLoraPair,
  },
};

/** Side lengths over these of a full run, for one in a hurry. */
const QUICK_SIZE: PairSize = { rows: 512, columns: 384, count: 1 };
const QUICK_SEQUENCES = 8;
const ALL_SEQUENCES = 48;

/** Opens or generates a pair, uses it, and removes what was generated. */
export async function withPair<T>(
  kind: PairKind,
  folder: string,
  isQuick: boolean,
  use: (pair: Pair) => Promise<T>,
): Promise<T> {
  const { title, generate } = PAIRS[kind];
  if (generate === undefined) {
    const text = await heldOutText(tinylm('eval', 'python.bin'), isQuick ? QUICK_SEQUENCES : ALL_SEQUENCES);
    return use(await loadPair(kind, title, { base: tinylm('base'), fineTuned: tinylm('python') }, text));
  }
  const own = join(folder, kind);
  try {
    const paths = await writePair(generate(isQuick ? QUICK_SIZE : undefined), own);
    return await use(await loadPair(kind, title, paths));
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}

/** How hard the rate–distortion coder works. */
import type { ResidualEncoding } from './encode-residual.js';

/**
 * Cost of a bit in squared steps: J = D + λ s² · bits. At high rate the optimum of an entropy-coded
 * uniform quantiser is λ = ln 2 / 6 ≈ 0.1155; lower rates want a little less. Measured on real
 * residuals, 0.07 to 0.13 differ by under 1 % in bytes at equal error.
 */
export const LAMBDA = 0.1;

/** Trellis states and refitting rounds. */
export const EFFORTS = {
  /** Scalar RDOQ everywhere, one side refitted once: about 5 % more bytes than the default. */
  fast: { factorStates: 1, denseStates: 1, refits: 1 },
  /** Trellis-coded factors, which are few; scalar RDOQ for the dense part, which is not. */
  default: { factorStates: 8, denseStates: 1, refits: 3 },
  /** Trellis-coded everywhere: about 0.1 bit per densely coded weight less at equal error. */
  max: { factorStates: 8, denseStates: 8, refits: 4 },
} as const satisfies Record<string, Pick<ResidualEncoding, 'factorStates' | 'denseStates' | 'refits'>>;

export type Effort = keyof typeof EFFORTS;

/** A residual's spectrum in a few numbers. */
import { extrapolateSpectrum } from '../allocation/extrapolate-spectrum.js';
import type { SpectrumSummary } from './diff-report.js';
import type { KnownSpectrum } from './residual-state.js';

/** All singular values of a residual: those known, and where they are not all, their continuation. */
export interface FullSpectrum extends KnownSpectrum {
  readonly fullSingularValues: Float64Array;
}

/** Continues a spectrum that is not complete, by extrapolateSpectrum. */
export function fullSpectrum(spectrum: KnownSpectrum): FullSpectrum {
  const { rows, columns, singularValues, energy, complete } = spectrum;
  const size = Math.min(rows, columns);
  const fullSingularValues = complete ? singularValues : extrapolateSpectrum(singularValues, energy, size);
  return { ...spectrum, fullSingularValues };
}

/** Shares of energy of the known values, and the effective rank of all. */
export function spectrumSummary(spectrum: FullSpectrum): SpectrumSummary {
  const { singularValues, fullSingularValues, energy, complete } = spectrum;
  const share = (count: number): number => {
    const kept = singularValues.subarray(0, count).reduce((sum, sigma) => sum + sigma * sigma, 0);
    return Math.min(1, kept / energy); // Float32 products may give a little more than there is.
  };
  return {
    knownRank: singularValues.length,
    complete,
    energyTop1: share(1),
    energyTop8: share(8),
    energyTop32: share(32),
    effectiveRank: effectiveRank(fullSingularValues),
  };
}

/**
 * exp of the Shannon entropy of σ_i / Σσ (Roy and Vetterli, "The effective rank: a measure of effective
 * dimensionality", EUSIPCO 2007, definition 1): 1 for one direction, n for n equal ones; 0 without any.
 */
export function effectiveRank(singularValues: Float64Array): number {
  const sum = singularValues.reduce((total, sigma) => total + sigma, 0);
  if (sum === 0) return 0;
  const entropy = singularValues.reduce((total, sigma) => {
    const share = sigma / sum;
    return share > 0 ? total - share * Math.log(share) : total;
  }, 0);
  return Math.exp(entropy);
}

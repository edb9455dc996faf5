/**
 * Residuals of real fine-tunes in the extreme: rows and columns of very different spread, and within them
 * a few entries that hold most of the energy. No low-rank structure beyond the scales.
 */
import { type GeneratedPair, type PairSize, pairOf } from './pair.js';
import { normal, studentT3 } from './random.js';

/** Entry = deviation · rowScale · columnScale · t3, both scales lognormal with this spread of their logarithm. */
export const HEAVY_TAILED = { deviation: 3e-4, logScaleDeviation: 0.5 } as const;

/** 2.1 M weights unless told otherwise. */
export function heavyTailedPair(
  size: PairSize = { rows: 1024, columns: 1024, count: 2 },
  seed = 21,
): GeneratedPair {
  const { deviation, logScaleDeviation } = HEAVY_TAILED;
  const { rows, columns } = size;
  return pairOf('heavy-tailed', size, seed, (_, ownSeed) => {
    const draw = studentT3(ownSeed);
    const drawLog = normal(ownSeed + 1);
    const scales = (length: number): Float64Array =>
      Float64Array.from({ length }, () => Math.exp(logScaleDeviation * drawLog()));
    const rowScales = scales(rows);
    const columnScales = scales(columns);
    return Float32Array.from(
      { length: rows * columns },
      (_, i) => deviation * rowScales[Math.floor(i / columns)]! * columnScales[i % columns]! * draw(),
    );
  });
}

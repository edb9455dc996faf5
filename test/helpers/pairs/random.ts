/**
 * Random numbers of known distribution for generated pairs: the same for the same seed. Logarithms and
 * cosines are V8's own software (fdlibm), which does not depend on the processor.
 */
import { createRandom } from '../../../src/linalg/sketch.js';

/** Draws numbers one by one. */
export type Draw = () => number;

/** Uniform in (0, 1). */
export function uniform(seed: number): Draw {
  const random = createRandom(seed);
  return () => (random() + 0.5) / 4_294_967_296;
}

/** Normal with mean 0 and variance 1 (Box and Muller). */
export function normal(seed: number): Draw {
  const draw = uniform(seed);
  let spare: number | undefined;
  return () => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(draw()));
    const angle = 2 * Math.PI * draw();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}

/** Student's t with 3 degrees of freedom: variance 3, no fourth moment. */
export function studentT3(seed: number): Draw {
  const draw = normal(seed);
  return () => {
    const numerator = draw();
    return numerator / Math.sqrt((draw() ** 2 + draw() ** 2 + draw() ** 2) / 3);
  };
}

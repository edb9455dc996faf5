/** Gaussian samples for the matrix coder's tests and bench. */
import { randomBits } from './samples.js';

/** Independent standard normal deviates (Box and Muller). */
export function gaussians(length: number, seed: number): Float32Array {
  const next = randomBits(seed);
  const uniform = () => (next() + 0.5) / 2 ** 32;
  return Float32Array.from(
    { length },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

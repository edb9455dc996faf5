/** Memory that serving takes. */
import { MIN_MEMORY_CAP } from '../residual/memory-budget.js';

/** Of the cap what connections and open versions may take: the rest is for rebuilding. */
export const SERVING_BYTE_LENGTH = 256 * 2 ** 20;

/** The least cap: 424 MiB. */
export const MIN_SERVE_MEMORY_CAP = MIN_MEMORY_CAP + SERVING_BYTE_LENGTH;

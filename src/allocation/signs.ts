/** Strategy "signs" (BitDelta, arXiv 2402.10193): every matrix as its signs and one scale; nothing to choose. */
import type { AllocationStrategy } from './allocation.js';
import { signPoint } from './operating-points.js';

export const signs: AllocationStrategy = (tensors) => tensors.map(signPoint);

/** Rebuilding tensors into files, run by the worker pool: each thread opens the versions that it is asked for, and keeps a few. */

import type { FileSources } from '../residual/decode-jobs.js';
import type { Selection } from '../residual/select-tensors.js';
import type { VersionPlace } from '../store/version-sources.js';

/** How a thread opens a version; structured-cloneable. */
export type RebuildSources = {
  /** Different for different sources. */
  readonly key: string;
  readonly selection: Selection;
  /** Elements of a block at most. */
  readonly blockElements: number;
} & (
  | { readonly kind: 'store'; readonly place: VersionPlace }
  | { readonly kind: 'archive'; readonly files: FileSources }
);

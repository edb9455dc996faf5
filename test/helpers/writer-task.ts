/** What a process of store-writer.ts is to do. */
import type { KillPoint } from './kill-at.js';
import type { StoreModels } from './store-models.js';

/** What a writer can do. */
export const WRITER_OPERATIONS = [
  'commit',
  'commit-main',
  'gc',
  'gc-anew',
  'repair',
  'tag',
  'rm-version',
  'rm-model',
  'checkout',
] as const;
/** The last: commits to main until no other writer comes first. */
export type WriterOperation = (typeof WRITER_OPERATIONS)[number] | 'commit-main-again';

export interface WriterTask {
  readonly store: string;
  readonly models: StoreModels;
  /** A folder of its own. */
  readonly folder: string;
  /** Its own model. */
  readonly name: string;
  readonly seed: number;
  readonly operations: readonly WriterOperation[];
  /** In the last of the operations; in none by default. */
  readonly kill?: KillPoint;
}

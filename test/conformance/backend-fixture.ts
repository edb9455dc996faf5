/** What the suite of a backend works on. */
import type { StoreBackend, StoredValue } from '../../src/store/backend.js';

export interface BackendFixture {
  readonly backend: StoreBackend;
  /** Of a read-only backend: what writes the values that it reads. */
  readonly filler?: StoreBackend;
  /** Of a read-only backend: makes what the filler has written listable. */
  publish?(): Promise<unknown>;
  remove(): Promise<void>;
}

export interface BackendSuiteOptions {
  /** Only the promises of reading; what fills it is held to the others on its own. Default false. */
  readonly isReadOnly?: boolean;
  /** Where a server allows less than 255. */
  readonly maxSegmentLength?: number;
  /** Values in the listing that is longer than a page; default 1,050. */
  readonly manyCount?: number;
  /** Byte length of the large value; default 24 MiB. */
  readonly largeByteLength?: number;
}

export async function collect(values: AsyncIterable<StoredValue>): Promise<StoredValue[]> {
  const collected: StoredValue[] = [];
  for await (const value of values) collected.push(value);
  return collected;
}

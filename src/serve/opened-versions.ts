/** Versions that are open, the last used of them: each opened once however many ask, and closed when nobody uses it. */
import { NotFoundError } from '../../formats/errors.js';
import type { ServedVersion } from './catalog.js';

/** A version, and what closes it. */
export interface OpenedVersion {
  readonly version: ServedVersion;
  close(): Promise<void>;
}

/** Indexes of this many versions are in memory. */
const MAX_OPEN = 16;

export class OpenedVersions {
  /** In order of their last use. */
  readonly #opened = new Map<string, Promise<OpenedVersion>>();

  /** The version of that key, opened by `open` where it is not. */
  async get(key: string, open: () => Promise<OpenedVersion>): Promise<ServedVersion> {
    let opened = this.#opened.get(key);
    this.#opened.delete(key);
    if (opened === undefined) {
      opened = open();
      opened.catch(() => this.drop(key, opened!));
    }
    this.#opened.set(key, opened);
    for (const [oldest, other] of this.#opened) {
      if (this.#opened.size <= MAX_OPEN) break;
      this.drop(oldest, other);
    }
    return (await opened).version;
  }

  /** Opens one anew that is no longer what it should be, unless that was done since it was given out. */
  async reopen(
    key: string,
    stale: ServedVersion,
    open: () => Promise<OpenedVersion>,
  ): Promise<ServedVersion> {
    const opened = this.#opened.get(key);
    const current = await opened?.catch(() => undefined);
    // Whoever was here meanwhile has dropped it.
    if (current?.version === stale && this.#opened.get(key) === opened) this.drop(key, opened);
    return this.get(key, open);
  }

  /** Forgets one. */
  drop(key: string, opened = this.#opened.get(key)): void {
    if (opened === undefined) return;
    if (this.#opened.get(key) === opened) this.#opened.delete(key);
    opened.then(({ close }) => close()).catch(() => {}); // Whoever opened it is told.
  }

  async close(): Promise<void> {
    const all = [...this.#opened.values()];
    this.#opened.clear();
    await Promise.all(all.map((opened) => opened.then(({ close }) => close()).catch(() => {})));
  }
}

/** Something that is closed when it is to be, and nobody uses it any more. */
export class Shared {
  readonly #close: () => Promise<void>;
  #users = 0;
  #isEnding = false;

  constructor(close: () => Promise<void>) {
    this.#close = close;
  }

  /** @throws NotFoundError where it is closed: others were used since it was opened */
  async use<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isEnding && this.#users === 0) throw new NotFoundError('the version was closed meanwhile');
    this.#users++;
    try {
      return await work();
    } finally {
      this.#users--;
      if (this.#isEnding && this.#users === 0) await this.#close();
    }
  }

  async end(): Promise<void> {
    if (this.#isEnding) return;
    this.#isEnding = true;
    if (this.#users === 0) await this.#close();
  }
}

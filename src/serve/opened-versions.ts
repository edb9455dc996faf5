/** Versions that are open, the last used of them: each opened once however many ask, and closed when nobody uses it. */
import { isEreError, NotFoundError } from '../../formats/errors.js';
import { FewAtATime } from '../io/few-at-a-time.js';
import type { ServedVersion } from './catalog.js';

/** A version, and what closes it. */
export interface OpenedVersion {
  readonly version: ServedVersion;
  close(): Promise<void>;
}

/** Indexes of this many versions are in memory. */
const MAX_OPEN = 16;
/** Opening parses an index, and may hash some of a base: more at once only take memory and disk from one another. */
const MAX_OPENING = 4;

interface Kept {
  readonly opening: Promise<OpenedVersion>;
  /** Once it is open. */
  opened?: OpenedVersion;
}

export class OpenedVersions {
  /** In order of their last use. */
  readonly #kept = new Map<string, Kept>();
  readonly #opening = new FewAtATime(MAX_OPENING);
  /** Closed to make room, though nothing was wrong with them. */
  readonly #crowdedOut = new WeakSet<ServedVersion>();
  #isClosed = false;

  /** The version of that key, opened by `open` where it is not. */
  async get(key: string, open: () => Promise<OpenedVersion>): Promise<ServedVersion> {
    let kept = this.#kept.get(key);
    this.#kept.delete(key);
    kept ??= this.#open(key, open);
    this.#kept.set(key, kept);
    return (await kept.opening).version;
  }

  /**
   * Runs `work` again, which failed as something that its version is made from was not found: with the version that is
   * there now, opened anew unless that was done since the stale one was given out, and where that is closed before it is
   * used, as more are in use than are kept, with one that is opened for `work` alone.
   */
  async retry<T>(
    key: string,
    stale: ServedVersion,
    open: () => Promise<OpenedVersion>,
    work: (version: ServedVersion) => Promise<T>,
  ): Promise<T> {
    let last = stale;
    // What is there now may be as old as the one that failed; what is opened then is not.
    for (let tries = 1; ; tries++) {
      const version = await this.#renewed(key, last, open);
      try {
        return await work(version);
      } catch (error) {
        if (!isEreError(error, 'ERE_NOT_FOUND')) throw error;
        if (this.#crowdedOut.has(version)) break;
        if (tries === 2) throw error;
      }
      last = version;
    }
    const own = await this.#openInTurn(open);
    try {
      return await work(own.version);
    } finally {
      await own.close();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const all = [...this.#kept.values()];
    this.#kept.clear();
    await Promise.all(all.map(({ opening }) => opening.then(({ close }) => close()).catch(() => {})));
  }

  /** The one that is open, unless it is the stale one. */
  async #renewed(
    key: string,
    stale: ServedVersion,
    open: () => Promise<OpenedVersion>,
  ): Promise<ServedVersion> {
    const kept = this.#kept.get(key);
    const current = await kept?.opening.catch(() => undefined);
    // Whoever was here meanwhile has dropped it.
    if (current?.version === stale && this.#kept.get(key) === kept) this.#drop(key, kept!);
    return this.get(key, open);
  }

  #open(key: string, open: () => Promise<OpenedVersion>): Kept {
    const kept: Kept = { opening: this.#openInTurn(open) };
    kept.opening.then(
      (opened) => {
        kept.opened = opened;
        this.#makeRoom();
      },
      () => this.#drop(key, kept), // Whoever opened it is told.
    );
    return kept;
  }

  #openInTurn(open: () => Promise<OpenedVersion>): Promise<OpenedVersion> {
    return this.#opening.run(async () => {
      if (this.#isClosed) throw new Error('the server is being closed');
      return open();
    });
  }

  /** Only what is open takes room: what waits to be opened would be closed before anybody had it. */
  #makeRoom(): void {
    const open = [...this.#kept].filter(([, { opened }]) => opened !== undefined);
    for (const [key, kept] of open.slice(0, Math.max(0, open.length - MAX_OPEN))) {
      this.#crowdedOut.add(kept.opened!.version);
      this.#drop(key, kept);
    }
  }

  #drop(key: string, kept: Kept): void {
    if (this.#kept.get(key) === kept) this.#kept.delete(key);
    kept.opening.then(({ close }) => close()).catch(() => {});
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

/**
 * A value that is read again when it is asked for and has become old. Reading may take longer than that: one read runs at
 * a time, and who asks meanwhile gets the value before it, unless that is too old, too.
 */

/** A value is given out while a newer one is read until it is so many times as old as it may be. */
const MAX_AGES = 4;

interface Reading<Value> {
  readonly value: Promise<Value>;
  hasBegun: boolean;
  /** Began before what was read was known to be different. */
  isOutdated: boolean;
}

export class Refreshed<Value> {
  readonly #maxAgeMs: number;
  readonly #read: (before: Value | undefined) => Promise<Value>;
  #last: { readonly value: Value } | undefined;
  /** When reading the last one ended. */
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Reading<Value> | undefined;

  /** @param read given what it gave the time before it went well */
  constructor(maxAgeMs: number, read: (before: Value | undefined) => Promise<Value>) {
    this.#maxAgeMs = maxAgeMs;
    this.#read = read;
  }

  /** Read once, however many ask meanwhile. Rejects as reading does; the next one who asks tries again. */
  get(): Promise<Value> {
    const age = performance.now() - this.#readAt;
    const last = this.#last;
    if (last !== undefined && age <= this.#maxAgeMs) return Promise.resolve(last.value);
    const running = this.#reading;
    if (running === undefined || running.isOutdated) return this.#begin(running?.value).value;
    if (last !== undefined && age <= MAX_AGES * this.#maxAgeMs) return Promise.resolve(last.value);
    return running.value;
  }

  /** The next one who asks gets one that is read after this. */
  expire(): void {
    this.#readAt = Number.NEGATIVE_INFINITY;
    if (this.#reading?.hasBegun) this.#reading.isOutdated = true;
  }

  /** @param before a read that is to end first */
  #begin(before: Promise<Value> | undefined): Reading<Value> {
    const read = async (): Promise<Value> => {
      await before?.catch(() => {}); // Whoever waits for it is told.
      reading.hasBegun = true;
      try {
        const value = await this.#read(this.#last?.value);
        this.#last = { value };
        if (!reading.isOutdated) this.#readAt = performance.now();
        return value;
      } finally {
        if (this.#reading === reading) this.#reading = undefined;
      }
    };
    // Begins a turn later: it refers to itself.
    const value = Promise.resolve().then(read);
    const reading: Reading<Value> = { value, hasBegun: false, isOutdated: false };
    this.#reading = reading;
    return reading;
  }
}

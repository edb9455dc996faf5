/** A value that is read again when it is asked for and has become old. */
export class Refreshed<Value> {
  readonly #maxAgeMs: number;
  readonly #read: (before: Value | undefined) => Promise<Value>;
  #value: Promise<Value> | undefined;
  #readAt = Number.NEGATIVE_INFINITY;

  /** @param read given what it gave the time before, where that went well */
  constructor(maxAgeMs: number, read: (before: Value | undefined) => Promise<Value>) {
    this.#maxAgeMs = maxAgeMs;
    this.#read = read;
  }

  /** Read once, however many ask meanwhile. Rejects as reading does; the next one who asks tries again. */
  get(): Promise<Value> {
    if (this.#value !== undefined && performance.now() - this.#readAt <= this.#maxAgeMs) return this.#value;
    const before = this.#value?.catch(() => undefined);
    const value = Promise.resolve(before).then(this.#read);
    this.#value = value;
    this.#readAt = performance.now();
    value.catch(() => {
      if (this.#value === value) this.#value = undefined;
    });
    return value;
  }

  /** The next one who asks gets a new one. */
  expire(): void {
    this.#readAt = Number.NEGATIVE_INFINITY;
  }
}

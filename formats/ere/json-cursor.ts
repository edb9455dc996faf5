/**
 * A value of a parsed JSON document together with the path that leads to it, so that every failed check
 * names file, path, rule and finding. Fields are read as own properties only: `__proto__` is a name like
 * any other.
 */
import { FormatError } from '../errors.js';

/** Deepest nesting that is taken inside a record of another party (codec parameters, extensions). */
const MAX_DEPTH = 16;

export class JsonCursor {
  readonly value: unknown;
  readonly file: string;
  readonly #parent: JsonCursor | undefined;
  readonly #key: string | number;

  constructor(value: unknown, file: string, root: string, parent?: JsonCursor, key: string | number = root) {
    this.value = value;
    this.file = file;
    this.#parent = parent;
    this.#key = key;
  }

  /** Where the value stands: `index.tensors[3].columns`. */
  get path(): string {
    if (this.#parent === undefined) return String(this.#key);
    const isWord = typeof this.#key === 'string' && /^[\w-]+$/.test(this.#key);
    return this.#parent.path + (isWord ? `.${this.#key}` : `[${JSON.stringify(this.#key)}]`);
  }

  /** @throws FormatError `<path>: expected <rule>, found <finding, default: the value>`. */
  fail(rule: string, finding = describe(this.value)): never {
    throw new FormatError('ere', `${this.path}: expected ${rule}, found ${finding}`, { file: this.file });
  }

  /** A field that must be there. */
  field(name: string): JsonCursor {
    return this.optional(name) ?? this.fail(`a field "${name}"`, 'none');
  }

  optional(name: string): JsonCursor | undefined {
    const fields = this.#object();
    return Object.hasOwn(fields, name) ? this.#child(fields[name], name) : undefined;
  }

  /** Reads the fields of an object, in their order. */
  fields<T>(read: (field: JsonCursor, name: string) => T): T[] {
    const fields = this.#object();
    return Object.keys(fields).map((name) => {
      this.#assertWellFormed(name);
      return read(this.#child(fields[name], name), name);
    });
  }

  /** Reads the items of an array one by one, so that a bad one ends the work at once. */
  items<T>(read: (item: JsonCursor) => T): T[] {
    const { value } = this;
    if (!Array.isArray(value)) return this.fail('an array');
    return value.map((item, i) => read(this.#child(item, i)));
  }

  /**
   * The items of an array, those that `isFine` as they are: for the long arrays of plain numbers, where a cursor for
   * each would take most of the time. `read` must give the same for them, and fails for the others.
   */
  itemsWhere<T>(isFine: (value: unknown) => value is T, read: (item: JsonCursor) => T): T[] {
    const { value } = this;
    if (!Array.isArray(value)) return this.fail('an array');
    return value.map((item: unknown, i) => (isFine(item) ? item : read(this.#child(item, i))));
  }

  /** An array of items as of `integer`. */
  integers(): number[] {
    return this.itemsWhere(isPlainInteger, (item) => item.integer());
  }

  /** An array of items as of `magnitude`. */
  magnitudes(): number[] {
    return this.itemsWhere(isPlainMagnitude, (item) => item.magnitude());
  }

  /** The items of an array of two. */
  pair(rule: string): [JsonCursor, JsonCursor] {
    const { value } = this;
    if (!Array.isArray(value) || value.length !== 2) return this.fail(rule);
    return [this.#child(value[0], 0), this.#child(value[1], 1)];
  }

  string(): string {
    const { value } = this;
    if (typeof value !== 'string') return this.fail('a string');
    this.#assertWellFormed(value);
    return value;
  }

  /** An integer in [0, maximum], by default up to 2^53 − 1. */
  integer(maximum: number = Number.MAX_SAFE_INTEGER): number {
    const { value } = this;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
      return this.fail('a non-negative integer');
    }
    if (value > maximum) return this.fail(`an integer of at most ${maximum}`);
    return value === 0 ? 0 : value; // −0 is written `-0` in JSON; it is 0
  }

  /** A finite number that is not negative. */
  magnitude(): number {
    const { value } = this;
    if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
      return this.fail('a non-negative number');
    return value;
  }

  boolean(): boolean {
    const { value } = this;
    return typeof value === 'boolean' ? value : this.fail('true or false');
  }

  /** Any object, of finite numbers and bounded depth: a record that somebody else interprets. */
  foreignRecord(): Record<string, unknown> {
    const record = this.#object();
    this.#assertPlain(MAX_DEPTH);
    return record;
  }

  #assertPlain(depth: number): void {
    const { value } = this;
    if (typeof value === 'number' && !Number.isFinite(value)) this.fail('a finite number');
    if (typeof value === 'string') this.#assertWellFormed(value);
    if (typeof value !== 'object' || value === null) return;
    if (depth === 0) this.fail(`at most ${MAX_DEPTH} levels of nesting`, 'more');
    if (Array.isArray(value)) this.items((item) => item.#assertPlain(depth - 1));
    else this.fields((field) => field.#assertPlain(depth - 1));
  }

  #child(value: unknown, key: string | number): JsonCursor {
    return new JsonCursor(value, this.file, '', this, key);
  }

  #object(): Record<string, unknown> {
    const { value } = this;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return this.fail('an object');
    return value as Record<string, unknown>;
  }

  #assertWellFormed(text: string): void {
    if (/\p{Surrogate}/u.test(text)) this.fail('well-formed Unicode', 'a lone surrogate');
  }
}

/** What `integer` takes as it is, −0 aside. */
export function isPlainInteger(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0);
}

function isPlainMagnitude(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value < Number.POSITIVE_INFINITY;
}

/** A value in a message: short, and quoted so that control characters are visible. */
export function describe(value: unknown): string {
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

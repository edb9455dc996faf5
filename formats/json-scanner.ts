/**
 * A strict JSON reader (RFC 8259) over UTF-8 bytes, for documents from untrusted files.
 * Where JSON.parse hides a repeated key, rounds a large integer or drops `__proto__`, this one fails or keeps:
 * every key of an object is seen, integers are exact, strings are well-formed Unicode, and every error names
 * its byte. A caller walks the document by its own schema, so nothing it does not ask for is ever allocated.
 */
import { FormatError, quoteName } from './errors.js';

/** Any JSON value; objects are Maps, so that no key is special. */
export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
export type JsonObject = Map<string, JsonValue>;

/** Nesting that `value` follows; real documents nest a handful of levels. */
const MAX_DEPTH = 64;
/** Digits of 2^53 - 1; a longer integer cannot be exact. */
const MAX_INTEGER_DIGITS = 16;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;
const COMMA = 0x2c;
const COLON = 0x3a;
const BRACE_OPEN = 0x7b;
const BRACE_CLOSE = 0x7d;
const BRACKET_OPEN = 0x5b;
const BRACKET_CLOSE = 0x5d;

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Where the bytes come from, for messages. */
export interface JsonScannerOptions {
  /** Format that a broken rule is charged to: 'safetensors', 'ere', … */
  readonly format: string;
  readonly file: string;
  /** Offset of the first byte in the file; default 0. */
  readonly byteOffset?: number;
}

export class JsonScanner {
  readonly #bytes: Uint8Array;
  readonly #options: JsonScannerOptions;
  /** ignoreBOM: a name may start with U+FEFF, and must keep it. */
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #position = 0;
  /** Tensor that is being read, for messages; set by the caller. */
  tensor: string | undefined;

  constructor(bytes: Uint8Array, options: JsonScannerOptions) {
    this.#bytes = bytes;
    this.#options = options;
  }

  /** A FormatError at the current position, or at the given one. */
  error(message: string, position = this.#position, cause?: unknown): FormatError {
    const { format, file, byteOffset = 0 } = this.#options;
    return new FormatError(format, message, {
      file,
      offset: byteOffset + position,
      tensor: this.tensor,
      cause,
    });
  }

  /** Position of the next token, for `error`. */
  mark(): number {
    this.#skipWhitespace();
    return this.#position;
  }

  /**
   * Reads an object; `member` must read the value of the key it is given.
   * @throws FormatError on a repeated key.
   */
  object(what: string, member: (key: string, keyPosition: number) => void): void {
    this.#take(BRACE_OPEN, `${what} is not a JSON object`);
    const keys = new Set<string>();
    if (this.#tryTake(BRACE_CLOSE)) return;
    do {
      const keyPosition = this.mark();
      const key = this.string(`a key of ${what}`);
      if (keys.has(key)) throw this.error(`${what} has the key ${quoteName(key)} twice`, keyPosition);
      keys.add(key);
      if (!this.#tryTake(COLON)) throw this.error(`expected ':' after the key ${quoteName(key)}`);
      member(key, keyPosition);
    } while (this.#tryTake(COMMA));
    this.#take(BRACE_CLOSE, `expected ',' or '}' in ${what}`);
  }

  /** Reads an array; `element` must read one element. */
  array(what: string, element: (index: number) => void): void {
    this.#take(BRACKET_OPEN, `${what} is not a JSON array`);
    if (this.#tryTake(BRACKET_CLOSE)) return;
    let index = 0;
    do element(index++);
    while (this.#tryTake(COMMA));
    this.#take(BRACKET_CLOSE, `expected ',' or ']' in ${what}`);
  }

  /** Reads a string of well-formed Unicode. */
  string(what: string): string {
    this.#take(QUOTE, `${what} is not a JSON string`);
    const start = this.#position;
    let escaped = false;
    for (;;) {
      const byte = this.#bytes[this.#position];
      if (byte === undefined) throw this.error(`${what} has no closing quote`, start - 1);
      if (byte === QUOTE) break;
      if (byte < 0x20) throw this.error(`${what} has an unescaped control character`);
      if (byte === BACKSLASH) {
        escaped = true;
        this.#position += 1;
      }
      this.#position += 1;
    }
    const text = this.#decode(start, this.#position, what);
    this.#position += 1;
    return escaped ? this.#unescape(text, start, what) : text;
  }

  /** Reads an integer in [0, 2^53), written without sign, fraction or exponent. */
  unsignedInteger(what: string): number {
    const start = this.mark();
    const text = this.#numberText();
    if (text === '') throw this.error(`${what} is not a number`, start);
    if (!NUMBER.test(text)) throw this.error(`${what} is not a JSON number: ${text.slice(0, 40)}`, start);
    if (!/^\d+$/.test(text))
      throw this.error(`${what} is not an unsigned integer: ${text.slice(0, 40)}`, start);
    const value = Number(text);
    if (text.length > MAX_INTEGER_DIGITS || !Number.isSafeInteger(value)) {
      throw this.error(`${what} is over 2^53 - 1: ${text.slice(0, 40)}`, start);
    }
    return value;
  }

  /** Reads any value. */
  value(what: string, depth = 0): JsonValue {
    const start = this.mark();
    if (depth > MAX_DEPTH) throw this.error(`${what} nests deeper than ${MAX_DEPTH} levels`, start);
    const byte = this.#bytes[start];
    if (byte === QUOTE) return this.string(what);
    if (byte === BRACE_OPEN) {
      const object: JsonObject = new Map();
      this.object(what, (key) => object.set(key, this.value(what, depth + 1)));
      return object;
    }
    if (byte === BRACKET_OPEN) {
      const array: JsonValue[] = [];
      this.array(what, () => array.push(this.value(what, depth + 1)));
      return array;
    }
    for (const [text, literal] of [
      ['true', true],
      ['false', false],
      ['null', null],
    ] as const) {
      if (this.#tryTakeWord(text)) return literal;
    }
    const text = this.#numberText();
    if (!NUMBER.test(text)) throw this.error(`${what} is not a JSON value`, start);
    const number = Number(text);
    if (!Number.isFinite(number)) throw this.error(`${what} is over the range of float64`, start);
    return number;
  }

  /** @throws FormatError when anything but white space is left. */
  end(what: string): void {
    if (this.mark() < this.#bytes.length) throw this.error(`${what} is followed by other bytes`);
  }

  #skipWhitespace(): void {
    for (;;) {
      const byte = this.#bytes[this.#position];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
      this.#position += 1;
    }
  }

  #tryTake(byte: number): boolean {
    this.#skipWhitespace();
    if (this.#bytes[this.#position] !== byte) return false;
    this.#position += 1;
    return true;
  }

  #take(byte: number, message: string): void {
    if (!this.#tryTake(byte))
      throw this.error(this.#position < this.#bytes.length ? message : `${message}: it ends here`);
  }

  #tryTakeWord(word: string): boolean {
    for (let i = 0; i < word.length; i++) {
      if (this.#bytes[this.#position + i] !== word.charCodeAt(i)) return false;
    }
    this.#position += word.length;
    return true;
  }

  /** Takes the longest run of bytes that numbers are made of. */
  #numberText(): string {
    const start = this.#position;
    for (;;) {
      const byte = this.#bytes[this.#position];
      const digit = byte !== undefined && byte >= 0x30 && byte <= 0x39;
      // '+' '-' '.' 'E' 'e'
      if (!digit && byte !== 0x2b && byte !== MINUS && byte !== 0x2e && byte !== 0x45 && byte !== 0x65) break;
      this.#position += 1;
    }
    return this.#decode(start, this.#position, 'a number');
  }

  #decode(start: number, end: number, what: string): string {
    try {
      return this.#decoder.decode(this.#bytes.subarray(start, end));
    } catch (cause) {
      throw this.error(`${what} is not valid UTF-8`, start, cause);
    }
  }

  #unescape(text: string, start: number, what: string): string {
    let unescaped: string;
    try {
      unescaped = JSON.parse(`"${text}"`) as string;
    } catch (cause) {
      throw this.error(`${what} has an invalid escape`, start, cause);
    }
    if (LONE_SURROGATE.test(unescaped)) throw this.error(`${what} has half of a surrogate pair`, start);
    return unescaped;
  }
}

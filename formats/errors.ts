/**
 * Every error ERE throws on bad input: one base class with a stable `code` and typed fields.
 * Caller misuse is a TypeError or RangeError instead. Messages name the file, the tensor,
 * what was expected and what was found, and what to do about it.
 */

export type EreErrorCode =
  | 'ERE_FORMAT'
  | 'ERE_UNSUPPORTED'
  | 'ERE_LIMIT'
  | 'ERE_INTEGRITY'
  | 'ERE_CHECKPOINT_MISMATCH'
  | 'ERE_CODEC'
  | 'ERE_BUDGET'
  | 'ERE_NOT_FOUND'
  | 'ERE_CONFLICT'
  | 'ERE_IO'
  | 'ERE_HUB'
  | 'ERE_ABORTED';

/** Base class. `code` is stable across releases; messages are not. */
export class EreError extends Error {
  readonly code: EreErrorCode;
  constructor(code: EreErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** A name from an untrusted file, safe to print: control characters escaped, cut at 200 characters. */
export function quoteName(name: string): string {
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name);
}

/** Bytes that break the rules of their format. */
export class FormatError extends EreError {
  /** The format whose rule is broken: 'safetensors', 'ere', … */
  readonly format: string;
  /** The file or source that holds the bytes. */
  readonly file: string | undefined;
  /** Byte offset in the file where the rule is broken, where one exists. */
  readonly offset: number | undefined;
  readonly tensor: string | undefined;
  constructor(
    format: string,
    message: string,
    details: {
      file?: string | undefined;
      offset?: number | undefined;
      tensor?: string | undefined;
      cause?: unknown;
    } = {},
  ) {
    const where = [
      details.file,
      details.tensor === undefined ? undefined : `tensor ${quoteName(details.tensor)}`,
      details.offset === undefined ? undefined : `byte ${details.offset}`,
    ].filter((part) => part !== undefined);
    super('ERE_FORMAT', `${where.length > 0 ? `${where.join(', ')}: ` : ''}${message}`, {
      cause: details.cause,
    });
    this.format = format;
    this.file = details.file;
    this.offset = details.offset;
    this.tensor = details.tensor;
  }
}

/** Well-formed input that asks for something this build does not know. */
export class UnsupportedError extends EreError {
  /** What is missing: 'archive version 2', 'codec "wavelet"', … */
  readonly feature: string;
  constructor(feature: string, message: string, options?: { cause?: unknown }) {
    super('ERE_UNSUPPORTED', message, options);
    this.feature = feature;
  }
}

/** A size over a limit of formats/limits.ts. */
export class LimitError extends EreError {
  readonly limit: number;
  readonly actual: number;
  constructor(message: string, limit: number, actual: number) {
    super('ERE_LIMIT', message);
    this.limit = limit;
    this.actual = actual;
  }
}

/** A checksum or digest that does not match. */
export class IntegrityError extends EreError {
  /** What was checked: a file, chunk or tensor. */
  readonly subject: string;
  readonly expected: string;
  readonly actual: string;
  constructor(subject: string, expected: string, actual: string, hint = '') {
    super(
      'ERE_INTEGRITY',
      `${subject}: expected ${expected}, found ${actual}${hint === '' ? '' : `; ${hint}`}`,
    );
    this.subject = subject;
    this.expected = expected;
    this.actual = actual;
  }
}

/** A base that is not the one the fine-tune or the archive belongs to. */
export class CheckpointMismatchError extends EreError {
  /** First tensor that differs, where one can be named. */
  readonly tensor: string | undefined;
  readonly expected: string;
  readonly found: string;
  constructor(message: string, details: { tensor?: string | undefined; expected: string; found: string }) {
    super('ERE_CHECKPOINT_MISMATCH', message);
    this.tensor = details.tensor;
    this.expected = details.expected;
    this.found = details.found;
  }
}

/** A codec given a payload or parameters it cannot decode. */
export class CodecError extends EreError {
  readonly codec: string;
  constructor(codec: string, message: string, options?: { cause?: unknown }) {
    super('ERE_CODEC', message, options);
    this.codec = codec;
  }
}

/** A budget that no plan can meet. Sizes in bytes, errors relative. */
export class BudgetError extends EreError {
  readonly asked: number;
  readonly reachable: number;
  constructor(message: string, asked: number, reachable: number) {
    super('ERE_BUDGET', message);
    this.asked = asked;
    this.reachable = reachable;
  }
}

export class NotFoundError extends EreError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('ERE_NOT_FOUND', message, options);
  }
}

/** Something is there already, and would be lost. */
export class ConflictError extends EreError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('ERE_CONFLICT', message, options);
  }
}

/** The operating system refused a read or a write (disk full, permission, …). */
export class IoError extends EreError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('ERE_IO', message, options);
  }
}

/** The Hugging Face Hub refused a request, could not be reached, or holds something else than expected. */
export class HubError extends EreError {
  /** HTTP status of the answer; undefined where there was none. */
  readonly statusCode: number | undefined;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  constructor(
    message: string,
    details: { statusCode?: number | undefined; retryable?: boolean; cause?: unknown } = {},
  ) {
    super('ERE_HUB', message, { cause: details.cause });
    this.statusCode = details.statusCode;
    this.retryable = details.retryable ?? false;
  }
}

/** A run that was interrupted by its AbortSignal, and left what it had finished. */
export class AbortedError extends EreError {
  /** The file from which another run can continue. */
  readonly unfinished: string;
  constructor(message: string, unfinished: string, options?: { cause?: unknown }) {
    super('ERE_ABORTED', message, options);
    this.unfinished = unfinished;
  }
}

/** True for an error of ERE's own, optionally with one of the given codes. */
export function isEreError(error: unknown, ...codes: EreErrorCode[]): error is EreError {
  return error instanceof EreError && (codes.length === 0 || codes.includes(error.code));
}

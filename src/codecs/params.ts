/** Checked access to a term's parameters, which come from untrusted JSON. */
import { CodecError } from '../../formats/errors.js';
import type { TermContext } from './codec.js';

/** An integer parameter in [minimum, maximum]. @throws CodecError */
export function integerParam(context: TermContext, name: string, minimum: number, maximum: number): number {
  const value = context.term.params[name];
  if (typeof value !== 'number' || !Number.isInteger(value) || value < minimum || value > maximum) {
    throw codecError(
      context,
      `parameter "${name}": expected an integer in [${minimum}, ${maximum}], found ${show(value)}`,
    );
  }
  return value;
}

/** A finite number that float32 holds exactly. @throws CodecError */
export function float32Param(context: TermContext, name: string): number {
  const value = context.term.params[name];
  if (typeof value !== 'number' || !Number.isFinite(value) || Math.fround(value) !== value) {
    throw codecError(context, `parameter "${name}": expected a finite float32, found ${show(value)}`);
  }
  return value;
}

/** true or false. @throws CodecError */
export function booleanParam(context: TermContext, name: string): boolean {
  const value = context.term.params[name];
  if (typeof value === 'boolean') return value;
  throw codecError(context, `parameter "${name}": expected true or false, found ${show(value)}`);
}

/** One of the given values. @throws CodecError */
export function choiceParam<T extends string | number>(
  context: TermContext,
  name: string,
  choices: readonly T[],
): T {
  const value = context.term.params[name];
  const found = choices.find((choice) => choice === value);
  if (found === undefined) {
    throw codecError(
      context,
      `parameter "${name}": expected one of ${choices.join(', ')}, found ${show(value)}`,
    );
  }
  return found;
}

/** A list of positive integers, with at least one. @throws CodecError */
export function countsParam(context: TermContext, name: string): readonly number[] {
  const value = context.term.params[name];
  const isCount = (item: unknown): boolean =>
    Number.isInteger(item) && Number(item) > 0 && Number(item) < 2 ** 31;
  if (!Array.isArray(value) || value.length === 0 || !value.every(isCount)) {
    throw codecError(
      context,
      `parameter "${name}": expected a list of positive integers, found ${show(value)}`,
    );
  }
  return value;
}

/** The number of chunks a term must have, those that a truncated archive leaves out included. @throws CodecError */
export function expectChunks(context: TermContext, count: number): void {
  const { chunks, missing = 0 } = context.term;
  if (chunks.length + missing === count) return;
  const left = missing === 0 ? '' : ` and ${missing} left out`;
  throw codecError(context, `expected ${count} chunks, found ${chunks.length}${left}`);
}

/** The byte length a chunk must have. @throws CodecError */
export function expectByteLength(
  context: TermContext,
  chunk: number,
  bytes: Uint8Array,
  expected: number,
): void {
  if (bytes.byteLength !== expected) {
    throw codecError(
      context,
      `chunk ${chunk} of the term: expected ${expected} bytes, found ${bytes.byteLength}`,
    );
  }
}

export function codecError(context: TermContext, message: string, cause?: unknown): CodecError {
  return new CodecError(context.term.codec, `${context.subject}, codec "${context.term.codec}": ${message}`, {
    cause,
  });
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

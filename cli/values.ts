/** Parsers of option values. Each throws commander's InvalidArgumentError with what was expected. */
import { InvalidArgumentError } from 'commander';
import { MIN_MEMORY_CAP } from '../src/residual/memory-budget.js';

const NUMBER = /^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const SIZE = /^(\d+\.?\d*|\.\d+) ?([a-z]*)$/i;

/** Decimal and binary units by their lower-case names. */
const UNITS: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['b', 1],
  ['kb', 1e3],
  ['mb', 1e6],
  ['gb', 1e9],
  ['kib', 2 ** 10],
  ['mib', 2 ** 20],
  ['gib', 2 ** 30],
]);

/** Milliseconds by their units' names. */
const DURATIONS: ReadonlyMap<string, number> = new Map([
  ['', 1e3],
  ['s', 1e3],
  ['min', 60e3],
  ['h', 3_600e3],
  ['d', 86_400e3],
]);

/** '6%' or '0.06' → 0.06; over 0 and at most 1. */
export function parseShare(text: string): number {
  const share = parsePercentOrNumber(text);
  if (share === undefined || share <= 0 || share > 1) {
    const hint = share !== undefined && share > 1 && share <= 100 ? `; did you mean ${text}%?` : '';
    throw new InvalidArgumentError(`Expected a share over 0 and at most 100%, such as 6% or 0.06${hint}`);
  }
  return share;
}

/** '1%,6%' → [0.01, 0.06]. */
export function parseShares(text: string): number[] {
  return text.split(',').map(parseShare);
}

/** '0.3' or '30%' → 0.3; over 0 and below 1, where 1 is the error of the base itself. */
export function parseRelativeError(text: string): number {
  const error = parsePercentOrNumber(text);
  if (error === undefined || error <= 0 || error >= 1) {
    throw new InvalidArgumentError(
      'Expected a relative error over 0 and below 1, such as 0.3 or 30% (1 is the error of the base itself)',
    );
  }
  return error;
}

/** '12MB', '1.5 GiB', '800000' → bytes, rounded down. Units: B kB MB GB (powers of 1000), KiB MiB GiB (of 1024). */
export function parseByteLength(text: string): number {
  const [, amount, unit] = SIZE.exec(text.trim()) ?? [];
  const scale = unit === undefined ? undefined : UNITS.get(unit.toLowerCase());
  const byteLength = scale === undefined ? Number.NaN : Math.floor(Number(amount) * scale);
  if (!Number.isSafeInteger(byteLength) || byteLength < 1) {
    throw new InvalidArgumentError(
      'Expected a size of at least one byte, such as 12MB or 800KiB (units: B, kB, MB, GB, KiB, MiB, GiB)',
    );
  }
  return byteLength;
}

/** A size as of `parseByteLength` that an operation can work in: of at least so many bytes. */
export function parseMemory(text: string, least: number = MIN_MEMORY_CAP): number {
  const byteLength = parseByteLength(text);
  if (byteLength >= least) return byteLength;
  throw new InvalidArgumentError(`Expected at least ${least / 2 ** 20}MiB`);
}

/** 'lossy', or a size as of `parseByteLength`. */
export function parseTruncation(text: string): number | 'lossy' {
  return text === 'lossy' ? 'lossy' : parseByteLength(text);
}

/** '1h', '90 min', '2d', '0' → milliseconds. Units: s, min, h, d; seconds without one. */
export function parseDuration(text: string): number {
  const [, amount, unit] = SIZE.exec(text.trim()) ?? [];
  const scale = unit === undefined ? undefined : DURATIONS.get(unit.toLowerCase());
  const durationMs = scale === undefined ? Number.NaN : Math.round(Number(amount) * scale);
  if (!Number.isSafeInteger(durationMs)) {
    throw new InvalidArgumentError('Expected a duration, such as 1h, 90min or 0 (units: s, min, h, d)');
  }
  return durationMs;
}

/** A cost relative to another: a number of at least 1. */
export function parseCost(text: string): number {
  const cost = NUMBER.test(text.trim()) ? Number(text) : Number.NaN;
  if (!(cost >= 1 && Number.isFinite(cost)))
    throw new InvalidArgumentError('Expected a number of at least 1');
  return cost;
}

/** A whole number of at least 1. */
export function parseCount(text: string): number {
  return wholeNumber(text, 1, Number.MAX_SAFE_INTEGER, 'Expected a whole number of at least 1');
}

/** A port, 0 to 65535. */
export function parsePort(text: string): number {
  return wholeNumber(text, 0, 65_535, 'Expected a port from 0 to 65535');
}

/** 'auto', or a whole number of bits, 2 to 16. */
export function parseBits(text: string): number | 'auto' {
  return text === 'auto' ? 'auto' : wholeNumber(text, 2, 16, 'Expected auto or a whole number from 2 to 16');
}

/** A weight, 0 to 1. */
export function parseWeight(text: string): number {
  const weight = parsePercentOrNumber(text);
  if (weight === undefined || weight > 1) throw new InvalidArgumentError('Expected a number from 0 to 1');
  return weight;
}

function parsePercentOrNumber(text: string): number | undefined {
  const [, number, percent] = /^(.*?) ?(%?)$/.exec(text.trim())!;
  if (!NUMBER.test(number!)) return undefined;
  return percent === '%' ? Number(number) / 100 : Number(number);
}

function wholeNumber(text: string, least: number, most: number, expectation: string): number {
  const value = /^\d+$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) throw new InvalidArgumentError(expectation);
  return value;
}

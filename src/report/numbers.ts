/** Numbers for people: every size, share, error and duration that ERE prints is formatted here. */

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** Decimal units, three significant digits: '565 B', '1.23 MB', '285 kB'. */
export function formatByteLength(byteLength: number): string {
  let value = byteLength;
  let unit = 0;
  // 999.5 and up would print as 1000 of the unit below.
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value.toFixed(0) : threeDigits(value)} ${BYTE_UNITS[unit]}`;
}

/**
 * A share as a percentage: '6.0 %', '0.13 %', '0 %'. A share that is not whole never prints as
 * 100 %, and one that is not nothing never as 0 %.
 */
export function formatShare(share: number): string {
  if (!Number.isFinite(share)) return '–';
  const percent = share * 100;
  if (percent === 0) return '0 %';
  if (percent > 0 && percent < 0.001) return '< 0.001 %';
  if (percent < 1) return `${Number(percent.toPrecision(2))} %`;
  if (percent < 100 && percent >= 99.95) return '> 99.9 %';
  return `${percent.toFixed(1)} %`;
}

/** A relative error to three significant digits: '0.612', '0.00310', '1.2e-7'; '0' only for nought. */
export function formatRelativeError(relativeError: number): string {
  if (relativeError === 0) return '0';
  if (!Number.isFinite(relativeError)) return '–';
  return relativeError < 0.001 ? relativeError.toExponential(1) : threeDigits(relativeError);
}

/** Bits per weight: '0.96', '16', '0.013', '−0.02'; never '0' for something. */
export function formatBits(bits: number): string {
  if (bits === 0) return '0';
  if (!Number.isFinite(bits)) return '–';
  const magnitude = Math.abs(bits);
  const text = magnitude < 0.1 ? `${Number(magnitude.toPrecision(2))}` : `${Number(magnitude.toFixed(2))}`;
  return bits < 0 ? `−${text}` : text;
}

/** '6.9', '−0.2'. The unit stands beside it. */
export function formatDecibel(decibel: number): string {
  if (!Number.isFinite(decibel)) return '–';
  const text = Math.abs(decibel).toFixed(1);
  return decibel < 0 && text !== '0.0' ? `−${text}` : text;
}

/** '830 ms', '4.2 s', '2 min 05 s'. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 999.5) return `${Math.round(durationMs)} ms`;
  if (durationMs < 59_950) return `${(durationMs / 1000).toFixed(1)} s`;
  const seconds = Math.round(durationMs / 1000);
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

/** '54 tensors', '1 tensor', '1,234,567 tensors'. */
export function formatCount(count: number, noun: string): string {
  // By hand: loading locale data for toLocaleString is a tenth of the start-up of a command.
  const digits = String(count).replace(/\B(?=(\d{3})+$)/g, ',');
  return `${digits} ${noun}${count === 1 ? '' : 's'}`;
}

/** '12' where both ends print alike, else '12–31'. */
export function formatRange(low: number, high: number, format: (value: number) => string): string {
  const [first, last] = [format(low), format(high)];
  return first === last ? first : `${first}–${last}`;
}

function threeDigits(value: number): string {
  // Decided on the rounded value, so that 9.996 is 10.0 and not 10.00.
  const rounded = Number(value.toPrecision(3));
  return rounded.toFixed(Math.max(0, 2 - Math.floor(Math.log10(rounded))));
}

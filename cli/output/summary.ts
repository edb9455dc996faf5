/** Phrases that more than one report uses. */
import type { ArchiveLevel } from '../../formats/ere/levels.js';
import { printable } from '../../src/report/printable.js';
import { lossText } from '../../src/report/version-phrases.js';
import type { Loss } from '../../src/residual/api.js';

export { lossText };

// Enough to see what they are; the JSON report has them all.
const NAMES_SHOWN = 8;

/**
 * 'exact: bit for bit', 'lossy: relative error 0.612, kept energy 62.5 %', 'partial: relative error 0.71
 * (estimated), …' or 'partial: loss not known'.
 */
export function qualityText(quality: ArchiveLevel | 'partial', { relativeError, isEstimated }: Loss): string {
  if (quality === 'exact') return 'exact: bit for bit';
  if (relativeError === undefined) return `${quality}: loss not known`;
  return `${quality}: ${lossText(relativeError, isEstimated)}`;
}

/** 'title (3): a, b, c', cut after some names; '' for an empty list. */
export function nameList(title: string, names: readonly string[], shown = NAMES_SHOWN): string {
  if (names.length === 0) return '';
  const rest = names.length > shown ? `, … and ${names.length - shown} more` : '';
  return `${title} (${names.length}): ${names.slice(0, shown).map(printable).join(', ')}${rest}\n`;
}

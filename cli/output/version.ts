/** Phrases about versions that several commands use. */
import { formatByteLength, formatShare } from '../../src/report/numbers.js';
import type { LogEntry, VersionId, VersionSummary } from '../../src/store/api.js';

/** Digits that tell the versions of most stores apart; a ref takes any number from 6. */
const SHORT_DIGITS = 8;

/** '3f2a91c4' of 'sha256:3f2a91c4…'. */
export function shortId(id: string, digits = SHORT_DIGITS): string {
  return id.slice(id.indexOf(':') + 1).slice(0, digits);
}

/** How many digits tell all of these apart: at least the usual number. */
export function distinctDigits(ids: readonly VersionId[]): number {
  const sorted = [...new Set(ids)].map((id) => shortId(id, 64)).sort();
  let digits = SHORT_DIGITS;
  for (let i = 1; i < sorted.length; i++) {
    const [before, after] = [sorted[i - 1]!, sorted[i]!];
    while (digits < 64 && before.slice(0, digits) === after.slice(0, digits)) digits += 1;
  }
  return digits;
}

/** '2026-11-22 02:10' of '2026-11-22T02:10:33.104Z', in UTC as it stands. */
export function timeText(createdAt: string): string {
  return createdAt.slice(0, 16).replace('T', ' ');
}

/** The first line of a message: what lists have room for. */
export function subjectOf({ message }: Pick<VersionSummary, 'message'>): string {
  return message.split('\n', 1)[0]!;
}

/** '(chat, v1.0) first line'; without names the line alone. */
export function describedSubject(version: LogEntry): string {
  const names = version.names.length === 0 ? '' : `(${version.names.join(', ')}) `;
  return `${names}${subjectOf(version)}`;
}

/** '284 kB, 2.9 % of 9.91 MB'. */
export function addedText(addedByteLength: number, fineTunedByteLength: number): string {
  const share = fineTunedByteLength === 0 ? '' : `, ${formatShare(addedByteLength / fineTunedByteLength)} of`;
  return share === ''
    ? formatByteLength(addedByteLength)
    : `${formatByteLength(addedByteLength)}${share} ${formatByteLength(fineTunedByteLength)}`;
}

/** 'chat 3f2a91c4'. */
export function versionName({ model, id }: Pick<VersionSummary, 'model' | 'id'>): string {
  return `${model} ${shortId(id)}`;
}

/** 'base llama', 'version 3f2a91c4' or 'nothing'. */
export function referenceText({ reference, base }: Pick<VersionSummary, 'reference' | 'base'>): string {
  if (reference === undefined) return 'nothing';
  if (reference.kind === 'base') return `base ${base?.name ?? shortId(reference.id)}`;
  return `version ${shortId(reference.id)}`;
}

/** '1.25'. */
export function costText(decodeCost: number): string {
  return decodeCost.toFixed(2);
}

/** Phrases about versions that several commands use. */
import { shortId } from '../../src/report/version-phrases.js';
import type { LogEntry, VersionSummary } from '../../src/store/api.js';

export { addedText, distinctDigits, shortId, timeText } from '../../src/report/version-phrases.js';

/** The first line of a message: what lists have room for. */
export function subjectOf({ message }: Pick<VersionSummary, 'message'>): string {
  return message.split('\n', 1)[0]!;
}

/** '(chat, v1.0) first line'; without names the line alone. */
export function describedSubject(version: LogEntry): string {
  const names = version.names.length === 0 ? '' : `(${version.names.join(', ')}) `;
  return `${names}${subjectOf(version)}`;
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

/** What `ere gc`, `ere fsck` and `ere stats` print. */
import { formatByteLength, formatCount, formatShare } from '../../src/report/numbers.js';
import { printable } from '../../src/report/printable.js';
import type { FsckReport, GcReport, StatsReport } from '../../src/store/api.js';
import { factLines } from './facts.js';
import { shortId } from './version.js';

/** 'removed 12 objects, 3.1 MB; …'; with `dryRun` in the subjunctive. */
export function gcReportText(report: GcReport, dryRun: boolean): string {
  const removed = `${formatCount(report.removedCount, 'object')}, ${formatByteLength(report.removedByteLength)}`;
  const kept = `${formatCount(report.keptCount, 'object')}, ${formatByteLength(report.keptByteLength)}`;
  return [
    `${dryRun ? 'would remove' : 'removed'} ${removed}; ${dryRun ? 'would keep' : 'kept'} ${kept}\n`,
    report.youngCount === 0
      ? ''
      : `${formatCount(report.youngCount, 'unreferenced object')} kept, as a commit may be about to use them (--grace)\n`,
    report.reanchoredCount === 0
      ? ''
      : `${formatCount(report.reanchoredCount, 'tensor')} ${dryRun ? 'would be ' : ''}coded anew against the base\n`,
  ].join('');
}

/** What was looked at, each problem with the versions that it breaks, and the verdict. */
export function fsckReportText(report: FsckReport, { full }: { readonly full: boolean }): string {
  const { versionCount, objectCount, checkedByteLength, problems, unreferencedCount } = report;
  const looked = `${formatCount(versionCount, 'version')}, ${formatCount(objectCount, 'object')}, ${formatByteLength(checkedByteLength)} read`;
  return [
    ...problems.map(problemText),
    `${report.isSound ? 'sound' : 'damaged'}: ${looked}${full ? ', every tensor decoded' : ''}\n`,
    unreferencedCount === 0
      ? ''
      : `${formatCount(unreferencedCount, 'unreferenced object')}: no damage; \`ere gc\` removes them\n`,
  ].join('');
}

/** One line: 'sound: 12 versions, 340 objects, 9.91 MB read' or 'damaged: 2 problems, 1 repaired'. */
export function fsckSummaryText(report: FsckReport): string {
  const { problems } = report;
  const repaired = problems.filter((problem) => problem.isRepaired).length;
  const found = problems.length === 0 ? 'no problems' : formatCount(problems.length, 'problem');
  return `${report.isSound ? 'sound' : 'damaged'}: ${found}${repaired === 0 ? '' : `, ${repaired} repaired`}\n`;
}

function problemText({ subject, message, versions, isRepaired }: FsckReport['problems'][number]): string {
  const lost =
    versions.length === 0 ? '' : `    cannot be decoded: ${versions.map((id) => shortId(id)).join(', ')}\n`;
  return `${isRepaired ? 'repaired' : 'problem'}: ${printable(subject)}: ${printable(message)}\n${lost}`;
}

/** Bytes stored against bytes represented, and of what. */
export function statsReportText(location: string, stats: StatsReport): string {
  const share = stats.representedByteLength === 0 ? '' : ` (${formatShare(stats.ratio)})`;
  return `${printable(location)}\n${factLines([
    ['versions', String(stats.versionCount)],
    ['models', String(stats.modelCount)],
    ['tags', String(stats.tagCount)],
    ['bases', String(stats.baseCount)],
    ['tensors', `${stats.tensorCount}, of which ${stats.storedTensorCount} are stored`],
    ['represented', formatByteLength(stats.representedByteLength)],
    [
      'stored',
      `${formatByteLength(stats.storedByteLength)} in ${formatCount(stats.objectCount, 'object')}${share}`,
    ],
  ])}`;
}

/** That a store was made, and where. */
export function storeMadeText(location: string): string {
  return `made an empty store: ${printable(location)}\n`;
}

/** That a ref or a version was removed. */
export function removedText(removed: string): string {
  return `removed ${printable(removed)}\n`;
}

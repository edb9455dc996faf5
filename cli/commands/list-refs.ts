/** What `ere tag` and `ere branch` share: listing refs of one kind, and saying what one points at. */
import type { RefEntry } from '../../src/store/api.js';
import type { CliContext } from '../context.js';
import { refTable, refText } from '../output/refs.js';
import { jsonText, writeText } from '../output/write.js';
import { type StoreFlags, sayEmpty, withStore } from './store-options.js';

/** Prints the refs of a kind. */
export async function listRefs(
  context: CliContext,
  flags: StoreFlags,
  kind: RefEntry['kind'],
): Promise<void> {
  const all = await withStore(context, flags, (store, options) => store.refs(options));
  const refs = all.filter((ref) => ref.kind === kind);
  if (flags.json) return await writeText(context.stdout, jsonText(refs));
  if (refs.length === 0) return await sayEmpty(context, flags, `no ${kind}s yet`);
  await writeText(context.stdout, refTable(refs));
}

/** Prints a ref that was set. */
export async function reportRef(context: CliContext, flags: StoreFlags, ref: RefEntry): Promise<void> {
  if (flags.json) await writeText(context.stdout, jsonText(ref));
  else if (!flags.quiet) await writeText(context.stdout, refText(ref));
}

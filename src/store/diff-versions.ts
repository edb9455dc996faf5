/** diff: which tensors changed between two versions, by how much, in which directions; and what changed in text files. */
import { join } from 'node:path';
import { createTwoFilesPatch } from 'diff';
import { diff } from '../residual/diff.js';
import type { Ref, StoreDiffReport, StoreOptions } from './api.js';
import { checkoutVersion, commonOptions } from './checkout.js';
import { type ManifestSideFile, type StoredVersion, shortId, summaryOf } from './manifest.js';
import { readBlob } from './objects.js';
import type { StoreReader } from './store-reader.js';
import { withTemporaryFolder } from './temporary.js';

/** Larger files are not looked into line by line. */
const MAX_TEXT_BYTE_LENGTH = 1 << 20;

export async function diffVersions(
  reader: StoreReader,
  fromRef: Ref,
  toRef: Ref,
  options: StoreOptions & { readonly basePath?: string },
): Promise<StoreDiffReport> {
  const from = await reader.resolve(fromRef);
  const to = await reader.resolve(toRef);
  const before = new Map(from.manifest.tensors.map((tensor) => [tensor.name, tensor]));
  const names = new Set(to.manifest.tensors.map(({ name }) => name));
  const isSame = to.manifest.tensors.every(({ name, digest }) => before.get(name)?.digest === digest);
  const common = {
    from: summaryOf(from),
    to: summaryOf(to),
    added: to.manifest.tensors.flatMap(({ name }) => (before.has(name) ? [] : [name])),
    removed: [...before.keys()].filter((name) => !names.has(name)),
    sideFiles: await diffSideFiles(reader, from, to),
  };
  if (isSame) return { ...common, changed: [], unchangedCount: to.manifest.tensors.length };
  return withTemporaryFolder(reader.backend, async (folder) => {
    const basePath = options.basePath === undefined ? {} : { basePath: options.basePath };
    const checkOut = async (version: StoredVersion, name: string): Promise<string> => {
      const output = join(folder, name);
      await checkoutVersion(reader, version, {
        ...commonOptions(options),
        ...basePath,
        output,
        sideFiles: false,
      });
      return output;
    };
    const base = await checkOut(from, 'from');
    const report = await diff(await checkOut(to, 'to'), { ...commonOptions(options), base, budgets: [] });
    const changed = report.tensors.filter(
      ({ name, unchangedShare, case: kind }) => kind !== 'added' && before.has(name) && unchangedShare < 1,
    );
    return {
      ...common,
      changed: changed.map(({ name, relativeResidual, spectrum }) => ({
        name,
        relativeChange: relativeResidual,
        ...(spectrum === undefined
          ? {}
          : {
              energyTop1: spectrum.energyTop1,
              energyTop8: spectrum.energyTop8,
              effectiveRank: spectrum.effectiveRank,
            }),
      })),
      unchangedCount: to.manifest.tensors.length - common.added.length - changed.length,
    };
  });
}

async function diffSideFiles(
  reader: StoreReader,
  from: StoredVersion,
  to: StoredVersion,
): Promise<StoreDiffReport['sideFiles']> {
  const before = new Map(from.manifest.sideFiles.map((file) => [file.path, file]));
  const after = new Map(to.manifest.sideFiles.map((file) => [file.path, file]));
  const files: StoreDiffReport['sideFiles'][number][] = [];
  for (const path of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const [old, current] = [before.get(path), after.get(path)];
    if (old?.digest === current?.digest) continue;
    const status = old === undefined ? 'added' : current === undefined ? 'removed' : 'changed';
    const [oldText, text] = [await readText(reader, old), await readText(reader, current)];
    const names = [shortId(from.id), shortId(to.id)].map((id) => `${id}/${path}`);
    const patch =
      oldText === undefined || text === undefined
        ? {}
        : { text: createTwoFilesPatch(names[0]!, names[1]!, oldText, text) };
    files.push({ path, status, ...patch });
  }
  return files;
}

/** '' for no file; undefined for one that is large or not text. */
async function readText(
  reader: StoreReader,
  file: ManifestSideFile | undefined,
): Promise<string | undefined> {
  if (file === undefined) return '';
  if (file.content.byteLength > MAX_TEXT_BYTE_LENGTH) return undefined;
  const bytes = await readBlob(reader.backend, file.content);
  if (bytes.includes(0)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

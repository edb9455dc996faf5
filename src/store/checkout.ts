/** checkout: a version as a model folder, bit for bit as it was committed or, where that was lossy, as it was decoded. */

import type { CommonOptions } from '../residual/api.js';
import { readArchiveLayout } from '../residual/archive-layout.js';
import { decodeOutput } from '../residual/decode.js';
import { selectUsable } from '../residual/select-tensors.js';
import type { CheckoutOptions, CheckoutReport } from './api.js';
import { type StoredVersion, summaryOf } from './manifest.js';
import type { StoreReader } from './store-reader.js';
import { openVersion } from './version-sources.js';
import { whileStored } from './while-stored.js';

/** @throws as decode; NotFoundError for a base that is not at hand */
export async function checkoutVersion(
  reader: StoreReader,
  version: StoredVersion,
  options: CheckoutOptions,
): Promise<CheckoutReport> {
  return whileStored(reader, version, () => checkOutNow(reader, version, options));
}

async function checkOutNow(
  reader: StoreReader,
  version: StoredVersion,
  options: CheckoutOptions,
): Promise<CheckoutReport> {
  const started = performance.now();
  const sources = await openVersion(reader, version, options);
  try {
    const { archive, base, workers, place } = sources;
    const written = await decodeOutput(
      {
        archive,
        base,
        workers,
        inputPaths: [place.folder, ...place.bases.map(({ path }) => path)],
        layout: await readArchiveLayout(archive),
        selection: selectUsable(archive, 'best'),
        options: { ...decodeOptions(options), output: options.output },
      },
      archive.index.tensors.map((_, i) => i),
    );
    return {
      version: summaryOf(version),
      output: options.output,
      files: written.files,
      byteLength: written.byteLength,
      digest: version.manifest.digest,
      durationMs: performance.now() - started,
    };
  } finally {
    await sources.close();
  }
}

/** What decides how a version is decoded, and not where to. */
export type CheckoutInputs = Omit<CheckoutOptions, 'output' | 'overwrite' | 'sideFiles'>;

/** Events of the store as progress of the decoder. */
export function commonOptions({
  threads,
  memoryCap,
  kernels,
  signal,
  onEvent,
}: Pick<CheckoutOptions, 'threads' | 'memoryCap' | 'kernels' | 'signal' | 'onEvent'>): CommonOptions {
  return {
    ...(threads === undefined ? {} : { threads }),
    ...(memoryCap === undefined ? {} : { memoryCap }),
    ...(kernels === undefined ? {} : { kernels }),
    ...(signal === undefined ? {} : { signal }),
    ...(onEvent === undefined ? {} : { onProgress: (progress) => onEvent({ kind: 'progress', progress }) }),
  };
}

function decodeOptions(options: CheckoutOptions) {
  const { overwrite, sideFiles } = options;
  return {
    ...commonOptions(options),
    ...(overwrite === undefined ? {} : { overwrite }),
    ...(sideFiles === undefined ? {} : { sideFiles }),
  };
}

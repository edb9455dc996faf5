/** The names that each subpath exports. A change here is a change of the public API: see CHANGELOG.md. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const PUBLIC_API: Record<string, readonly string[]> = {
  '.': [
    'AbortedError',
    'BudgetError',
    'CheckpointMismatchError',
    'CodecError',
    'ConflictError',
    'EreError',
    'FormatError',
    'HubError',
    'IntegrityError',
    'IoError',
    'LimitError',
    'NotFoundError',
    'PACKAGE_VERSION',
    'UnsupportedError',
    'decode',
    'diff',
    'encode',
    'estimateEncode',
    'exportLora',
    'inspect',
    'isEreError',
    'openArchive',
    'truncate',
    'verify',
  ],
  './formats': [
    'ChunkCollector',
    'DTYPES',
    'LIMITS',
    'archiveBytes',
    'bytesSource',
    'checkpointIdentity',
    'elementCount',
    'isDtype',
    'isFloatDtype',
    'layoutArchive',
    'openArchive',
    'openSafetensors',
    'parseSafetensorsHeader',
    'parseShardIndex',
    'safetensorsCheckpoint',
    'serializeSafetensorsHeader',
    'serializeShardIndex',
    'tensorByteLength',
  ],
  './evaluate': ['bitsPerByte'],
  './store': [
    'STORE_FOLDER',
    'createMemoryBackend',
    'initStore',
    'openBackend',
    'openFolderBackend',
    'openStore',
  ],
  './hub': ['pull', 'push'],
  './serve': ['openHubHandler', 'serve'],
  './web': [
    'EreError',
    'blobSource',
    'bytesSource',
    'decode',
    'decodeFile',
    'httpSource',
    'isEreError',
    'openArchive',
    'openBase',
  ],
};

const manifest: { readonly exports: Record<string, unknown> } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
);

test('the subpaths are those of package.json', () => {
  expect(Object.keys(manifest.exports).filter((subpath) => subpath !== './package.json')).toEqual(
    Object.keys(PUBLIC_API),
  );
});

test.each(Object.entries(PUBLIC_API))('%s exports exactly the names listed', async (subpath, names) => {
  const module: object = await import(`ere${subpath.slice(1)}`);
  expect(Object.keys(module).sort()).toEqual([...names].sort());
});

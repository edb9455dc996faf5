/** What a page loads: its size, and that it loads nothing else. */
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import * as source from '../../src/web/index.js';
import { loadBundle, readBundle } from './bundle.js';

/** Reader and kernels, by gzip, which every server has; brotli takes an eighth less. */
const MAX_COMPRESSED_BYTE_LENGTH = 60 * 1024;

describe('the bundle', () => {
  test('takes at most 60 KiB compressed, workers included', () => {
    const sizes = [...readBundle().values()].map((bytes) => gzipSync(bytes, { level: 9 }).byteLength);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(MAX_COMPRESSED_BYTE_LENGTH);
  });

  test('imports its own files only', () => {
    const files = readBundle();
    for (const [name, bytes] of files) {
      const imports = [...bytes.toString().matchAll(/(?:from|import)\s*\(?\s*["'`]([^"'`]+)["'`]/g)];
      const foreign = imports.filter(([, path]) => !path!.startsWith('./') || !files.has(path!.slice(2)));
      expect(foreign.map(([, path]) => `${name}: ${path}`)).toEqual([]);
    }
  });

  test('exports what its source exports, and its errors keep their names', async () => {
    const bundle = await loadBundle();
    expect(Object.keys(bundle).sort()).toEqual(Object.keys(source).sort());
    const error = await bundle.openArchive(bundle.bytesSource('a.ere', new Uint8Array(100))).catch((e) => e);
    expect(error).toMatchObject({ name: 'FormatError', code: 'ERE_FORMAT' });
    expect(error.message).toContain('a.ere');
  });
});

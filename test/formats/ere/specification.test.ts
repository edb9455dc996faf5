/** docs/spec/archive.md and the code say the same. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DTYPES } from '../../../formats/dtype.js';
import { LIMITS } from '../../../formats/limits.js';
import { smallestArchive } from '../../helpers/smallest-archive.js';

const root = new URL('../../../../', import.meta.url);
const text = readFileSync(new URL('docs/spec/archive.md', root), 'utf8');

/** The bytes of all hex dumps in the document, which must follow one another. */
function dumpedBytes(): Uint8Array {
  const bytes: number[] = [];
  for (const [, offset, hex] of text.matchAll(/^([0-9a-f]{8}) {2}((?:[0-9a-f]{2} )+) +\S/gm)) {
    expect(Number.parseInt(offset, 16)).toBe(bytes.length);
    bytes.push(
      ...hex
        .trim()
        .split(' ')
        .map((byte) => Number.parseInt(byte, 16)),
    );
  }
  return Uint8Array.from(bytes);
}

describe('the smallest archive', () => {
  it('of the document is what the writer writes', async () => {
    expect(dumpedBytes()).toEqual(await smallestArchive());
  });

  it('is the golden file', () => {
    expect(dumpedBytes()).toEqual(new Uint8Array(readFileSync(new URL('test/golden/smallest.ere', root))));
  });
});

describe('the document', () => {
  it('states the limits that the code keeps', () => {
    for (const limit of [
      LIMITS.archiveIndexByteLength,
      LIMITS.deflateRatio,
      LIMITS.archiveIndexDeflateRatio,
      LIMITS.archiveIndexContainers,
      LIMITS.chunkByteLength,
      LIMITS.safetensorsHeaderByteLength + 8,
      LIMITS.sideFileByteLength,
      LIMITS.dimensions,
    ]) {
      expect(text).toMatch(new RegExp(`\\| (${limit}|${limit.toLocaleString('en-US')})( bytes)? +\\|`));
    }
  });

  it('names every dtype', () => {
    for (const dtype of Object.keys(DTYPES)) expect(text).toContain(`\`${dtype}\``);
  });
});

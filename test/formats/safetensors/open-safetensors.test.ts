import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { bytesSource } from '../../../formats/byte-source.js';
import { openSafetensors } from '../../../formats/safetensors/open-safetensors.js';
import { safetensorsCheckpoint } from '../../../formats/safetensors/safetensors-checkpoint.js';
import {
  safetensorsByteRanges,
  serializeSafetensorsHeader,
} from '../../../formats/safetensors/serialize-header.js';
import { countingSource } from '../../helpers/counting-source.js';
import { fixturePath } from '../../helpers/fixtures.js';
import { countingBytes, rawSafetensors, safetensorsBytes } from '../../helpers/safetensors-bytes.js';

async function tinylm(which: 'base' | 'python') {
  return bytesSource(
    `${which}/model.safetensors`,
    await readFile(fixturePath(`tinylm/${which}/model.safetensors`)),
  );
}

describe('opening', () => {
  it('reads the 8-byte length and the header, and nothing else', async () => {
    const source = countingSource(await tinylm('base'));
    const { header, headerBytes } = await openSafetensors(source);
    expect(source.reads).toEqual([
      [0, 8],
      [8, 6600],
    ]);
    expect(headerBytes.byteLength).toBe(6608);
    expect(header.byteLength).toBe(6608);
  });

  it('reads 8 bytes of a file whose length lies, whatever it claims', async () => {
    const bytes = rawSafetensors({ header: '{}', claimedLength: 99_999_999n });
    const source = countingSource(bytesSource('lie', bytes));
    await expect(openSafetensors(source)).rejects.toMatchObject({ code: 'ERE_FORMAT', file: 'lie' });
    expect(source.reads).toEqual([[0, 8]]);
  });

  it.each([0, 5])('a file of %i bytes is a FormatError', async (byteLength) => {
    const source = bytesSource('short', new Uint8Array(byteLength));
    await expect(openSafetensors(source)).rejects.toMatchObject({ code: 'ERE_FORMAT', file: 'short' });
  });
});

describe('the tinylm pair', () => {
  it.each(['base', 'python'] as const)(
    '%s: order, metadata and ranges are those of the header',
    async (which) => {
      const source = await tinylm(which);
      const { header, headerBytes } = await openSafetensors(source);
      // JSON.parse is enough for a file that is known to be well-formed.
      const { __metadata__, ...records } = JSON.parse(new TextDecoder().decode(headerBytes.subarray(8)));
      expect(header.tensors.map(({ name }) => name)).toEqual(Object.keys(records));
      expect(header.tensors).toHaveLength(57);
      for (const { name, dtype, shape, dataOffsets } of header.tensors) {
        expect({ dtype, shape, data_offsets: dataOffsets }).toEqual(records[name]);
      }
      expect(Object.fromEntries(header.metadata ?? [])).toEqual(__metadata__);
      const last = [...safetensorsByteRanges(header).values()].at(-1);
      expect((last?.byteOffset ?? 0) + (last?.byteLength ?? 0)).toBe(source.byteLength);
    },
  );

  it('its header, written anew, says the same in fewer bytes', async () => {
    const { header, headerBytes } = await openSafetensors(await tinylm('base'));
    const rewritten = serializeSafetensorsHeader(header.tensors, header.metadata);
    const parse = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes.subarray(8)));
    expect(parse(rewritten)).toEqual(parse(headerBytes));
    expect(rewritten.byteLength).toBeLessThan(headerBytes.byteLength);
  });
});

describe('a checkpoint over files in memory', () => {
  const open = (name: string, bytes: Uint8Array) => openSafetensors(bytesSource(name, bytes));

  it('reads a tensor whole, and ranges of it', async () => {
    const bytes = safetensorsBytes([
      { name: 'a', dtype: 'U8', shape: [3] },
      { name: 'b', dtype: 'F32', shape: [2], data: countingBytes(8) },
    ]);
    const checkpoint = safetensorsCheckpoint({
      location: 'memory',
      shards: [{ path: 'm.safetensors', file: await open('m', bytes) }],
    });
    expect([...(await checkpoint.read('b'))]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect([...(await checkpoint.read('b', 2, 3))]).toEqual([2, 3, 4]);
    expect([...(await checkpoint.read('b', 6))]).toEqual([6, 7]);
    expect((await checkpoint.read('b', 8)).byteLength).toBe(0);
    await expect(checkpoint.read('b', 6, 3)).rejects.toThrow(RangeError);
    await expect(checkpoint.read('a', 0, 4)).rejects.toThrow(RangeError);
    await expect(checkpoint.read('c')).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
    expect(checkpoint.files[0].header).toEqual(bytes.subarray(0, bytes.length - 11));
    await checkpoint.close();
  });

  it('a tensor in two files is a FormatError that names both', async () => {
    const bytes = safetensorsBytes([{ name: 'w', dtype: 'U8', shape: [1] }]);
    const shards = [
      { path: 'one', file: await open('one', bytes) },
      { path: 'two', file: await open('two', bytes) },
    ];
    const join = () => safetensorsCheckpoint({ location: 'memory', shards });
    expect(join).toThrow(/two, tensor "w": the tensor is also in one/);
  });
});

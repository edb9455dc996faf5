import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../../formats/errors.js';
import { parseSafetensorsHeader } from '../../../formats/safetensors/parse-header.js';
import {
  referenceTensorOrder,
  safetensorsByteRanges,
  serializeSafetensorsHeader,
  type TensorSpec,
} from '../../../formats/safetensors/serialize-header.js';
import { fixturePath } from '../../helpers/fixtures.js';

const jsonOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes.subarray(8));

describe('a serialised header', () => {
  it('is what the reference writes for its own example', () => {
    // From the documentation of SafeTensors::deserialize in safetensors/src/tensor.rs.
    const json = '{"test":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]}}';
    const bytes = serializeSafetensorsHeader([{ name: 'test', dtype: 'I32', shape: [2, 2] }]);
    expect(jsonOf(bytes)).toBe(json.padEnd(64));
    expect([...bytes.subarray(0, 8)]).toEqual([64, 0, 0, 0, 0, 0, 0, 0]);
  });

  it('puts metadata first and pads with spaces to a multiple of 8', () => {
    const bytes = serializeSafetensorsHeader([], new Map([['format', 'pt']]));
    expect(jsonOf(bytes)).toBe('{"__metadata__":{"format":"pt"}}');
    expect(jsonOf(serializeSafetensorsHeader([]))).toBe('{}      ');
  });

  it('keeps the order of the tensors and lays them out back to back', () => {
    const tensors: TensorSpec[] = [
      { name: 'b', dtype: 'U8', shape: [3] },
      { name: 'a', dtype: 'F64', shape: [] },
      { name: 'F4', dtype: 'F4', shape: [2, 3] },
    ];
    const header = serializeSafetensorsHeader(tensors);
    const parsed = parseSafetensorsHeader(header, { file: 'f', fileByteLength: header.byteLength + 14 });
    expect([...safetensorsByteRanges(parsed)]).toEqual([
      ['b', { byteOffset: header.byteLength, byteLength: 3 }],
      ['a', { byteOffset: header.byteLength + 3, byteLength: 8 }],
      ['F4', { byteOffset: header.byteLength + 11, byteLength: 3 }],
    ]);
  });

  it('escapes as serde_json does', () => {
    const name = '"\\/\b\f\n\r\t\u0000\u001f\u007f é😀';
    const json = jsonOf(serializeSafetensorsHeader([{ name, dtype: 'U8', shape: [0] }]));
    expect(json).toContain('{"\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\u007f é😀":');
  });

  it.each<[string, TensorSpec[], Map<string, string> | undefined, RegExp]>([
    [
      'a name twice',
      [
        { name: 'w', dtype: 'U8', shape: [] },
        { name: 'w', dtype: 'U8', shape: [] },
      ],
      undefined,
      /there twice/,
    ],
    ['the name of the metadata', [{ name: '__metadata__', dtype: 'U8', shape: [] }], undefined, /reserved/],
    ['half of a surrogate pair', [{ name: '\ud800', dtype: 'U8', shape: [] }], undefined, /not well-formed/],
    ['half of a surrogate pair in metadata', [], new Map([['k', '\udc00']]), /not well-formed/],
    [
      'bits that do not fill a byte',
      [{ name: 'w', dtype: 'F6_E2M3', shape: [3] }],
      undefined,
      /does not fill whole bytes/,
    ],
    [
      'a negative dimension',
      [{ name: 'w', dtype: 'U8', shape: [-1] }],
      undefined,
      /does not fill whole bytes/,
    ],
    [
      '65 dimensions',
      [{ name: 'w', dtype: 'U8', shape: Array(65).fill(1) }],
      undefined,
      /does not fill whole bytes/,
    ],
  ])('refuses %s', (_what, tensors, metadata, message) => {
    const serialize = () => serializeSafetensorsHeader(tensors, metadata);
    expect(serialize).toThrow(FormatError);
    expect(serialize).toThrow(message);
  });
});

it('the reference order is widest dtype first, then names by UTF-8 bytes', () => {
  const spec = (name: string, dtype: TensorSpec['dtype']): TensorSpec => ({ name, dtype, shape: [] });
  // U+FF61 sorts behind U+1F600 by UTF-16 units, before it by UTF-8 bytes.
  const tensors = [
    spec('b', 'F16'),
    spec('😀', 'BF16'),
    spec('｡', 'BF16'),
    spec('a', 'F16'),
    spec('z', 'I64'),
    spec('q', 'BOOL'),
  ];
  const ordered = referenceTensorOrder(tensors).map(({ name }) => name);
  expect(ordered).toEqual(['z', '｡', '😀', 'a', 'b', 'q']);
});

it('a file of the reference, with every dtype it writes, is rewritten to the byte, and in its order', async () => {
  // safetensors 0.8.0, `serialize` of 40 tensors in random order; F6 types have no writer there.
  const file = await readFile(fixturePath('safetensors/reference-0.8.0.safetensors'));
  const { byteLength, tensors, metadata } = parseSafetensorsHeader(file, { file: 'reference' });
  expect(new Set(tensors.map(({ dtype }) => dtype)).size).toBe(20);
  const shuffled = [...tensors].sort((a, b) => (a.name < b.name ? -1 : 1));
  const rewritten = serializeSafetensorsHeader(referenceTensorOrder(shuffled), metadata);
  expect(file.subarray(0, byteLength).equals(rewritten)).toBe(true);
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FormatError, isEreError } from '../../../formats/errors.js';
import {
  assertShardIndex,
  parseShardIndex,
  serializeShardIndex,
  shardPaths,
} from '../../../formats/safetensors/shard-index.js';

const FILE = 'model.safetensors.index.json';
const encode = (text: string) => new TextEncoder().encode(text);
const parse = (value: unknown) =>
  parseShardIndex(encode(typeof value === 'string' ? value : JSON.stringify(value)), FILE);

// As transformers' save_pretrained writes it: json.dumps(index, indent=2, sort_keys=True) + "\n".
const REFERENCE = `{
  "metadata": {
    "total_parameters": 3,
    "total_size": 6
  },
  "weight_map": {
    "a.weight": "model-00001-of-00002.safetensors",
    "b.\\u00e9": "model-00002-of-00002.safetensors"
  }
}
`;

describe('parsing', () => {
  it('gives the map in the order of the file, and its metadata', () => {
    const index = parse(REFERENCE);
    expect([...index.weightMap]).toEqual([
      ['a.weight', 'model-00001-of-00002.safetensors'],
      ['b.é', 'model-00002-of-00002.safetensors'],
    ]);
    expect(index.metadata.get('total_size')).toBe(6);
    expect(shardPaths(index)).toEqual([
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
    ]);
  });

  it('what the reference writes is written back to the byte', () => {
    expect(new TextDecoder().decode(serializeShardIndex(parse(REFERENCE)))).toBe(REFERENCE);
  });

  it('metadata may be missing, and may hold any JSON', () => {
    expect(parse({ weight_map: {} }).metadata.size).toBe(0);
    const metadata = { total_size: 1.5, nested: { list: [1, null, true, 'x', {}] }, empty: [] };
    const index = parse({ metadata, weight_map: { w: 's.safetensors' } });
    expect(JSON.parse(new TextDecoder().decode(serializeShardIndex(index)))).toEqual({
      metadata,
      weight_map: { w: 's.safetensors' },
    });
  });

  it('the same index in another order gives the same bytes', () => {
    const a = parse({ weight_map: { x: '1.safetensors', y: '2.safetensors' } });
    const b = parse({ weight_map: { y: '2.safetensors', x: '1.safetensors' } });
    expect(serializeShardIndex(a)).toEqual(serializeShardIndex(b));
  });

  const withShard = (shard: unknown) => ({ weight_map: { w: shard } });
  it.each<[string, unknown, RegExp]>([
    ['nothing', '', /the shard index is not a JSON object: it ends here/],
    ['an array', [], /the shard index is not a JSON object/],
    ['no weight_map', { metadata: {} }, /weight_map is missing/],
    ['a weight_map that is an array', { weight_map: [] }, /weight_map is not a JSON object/],
    ['metadata that is an array', { metadata: [], weight_map: {} }, /metadata is not a JSON object/],
    ['a shard that is a number', withShard(1), /weight_map value of "w" is not a JSON string/],
    ['an absolute shard', withShard('/etc/x.safetensors'), /"\/etc\/x\.safetensors" is absolute/],
    ['a shard outside', withShard('../x.safetensors'), /has the segment '\.\.'/],
    ['a shard outside, further in', withShard('a/../../x.safetensors'), /has the segment '\.\.'/],
    ['a shard on a drive', withShard('C:x.safetensors'), /has a drive letter/],
    ['a shard with a backslash', withShard('a\\x.safetensors'), /has a backslash/],
    ['a shard of another format', withShard('pytorch_model.bin'), /not a \.safetensors file/],
    ['a tensor twice', '{"weight_map":{"w":"a.safetensors","w":"b.safetensors"}}', /the key "w" twice/],
    ['bytes behind it', '{"weight_map":{}} x', /followed by other bytes/],
    [
      'shards that are one file where case is ignored',
      { weight_map: { a: 'M.safetensors', b: 'm.safetensors' } },
      /cannot both be written/,
    ],
    ['deep nesting', `{"metadata":{"a":${'['.repeat(1000)}}}`, /nests deeper than 64/],
    ['a number over float64', '{"metadata":{"a":1e999},"weight_map":{}}', /over the range of float64/],
    ['NaN', '{"metadata":{"a":NaN},"weight_map":{}}', /not a JSON value/],
  ])('refuses %s', (_what, value, message) => {
    expect(() => parse(value)).toThrow(FormatError);
    expect(() => parse(value)).toThrow(message);
    expect(() => parse(value)).toThrow(FILE);
  });

  it('random text throws only FormatError', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.json()), (text) => {
        try {
          parse(`{"metadata":${text},"weight_map":{}}`);
        } catch (error) {
          if (!isEreError(error, 'ERE_FORMAT')) throw error;
        }
      }),
    );
  });
});

describe('checking against the shards', () => {
  const index = parse({ weight_map: { x: '1.safetensors', y: '2.safetensors' } });
  const check = (shards: Record<string, string[]>) => () =>
    assertShardIndex(index, FILE, new Map(Object.entries(shards)));

  it('passes when every tensor is in its shard, also with tensors that the index does not list', () => {
    expect(check({ '1.safetensors': ['x', 'extra'], '2.safetensors': ['y'] })).not.toThrow();
  });

  it.each<[string, Record<string, string[]>, RegExp]>([
    [
      'a tensor that is in no shard',
      { '1.safetensors': ['x'], '2.safetensors': [] },
      /tensor "y": weight_map says 2\.safetensors, but it is in no shard/,
    ],
    [
      'a tensor that is in another shard',
      { '1.safetensors': ['x', 'y'], '2.safetensors': [] },
      /tensor "y": .* but it is in 1\.safetensors/,
    ],
    [
      'a tensor in two shards',
      { '1.safetensors': ['x', 'y'], '2.safetensors': ['y'] },
      /tensor "y": the tensor is in 1\.safetensors and in 2\.safetensors/,
    ],
  ])('refuses %s', (_what, shards, message) => {
    expect(check(shards)).toThrow(message);
  });
});

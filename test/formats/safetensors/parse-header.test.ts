import { describe, expect, it } from 'vitest';
import { DTYPES, type Dtype } from '../../../formats/dtype.js';
import { FormatError, UnsupportedError } from '../../../formats/errors.js';
import { parseSafetensorsHeader } from '../../../formats/safetensors/parse-header.js';
import { HEADER_ATTACKS, headerOfOne, recordOfOne } from '../../helpers/header-attacks.js';
import { type RawSafetensors, rawSafetensors } from '../../helpers/safetensors-bytes.js';

const FILE = 'model.safetensors';

function parse(raw: RawSafetensors) {
  return parseSafetensorsHeader(rawSafetensors(raw), { file: FILE });
}

function failure(parseIt: () => unknown): unknown {
  try {
    parseIt();
  } catch (error) {
    return error;
  }
  throw new Error('expected an error');
}

describe('a well-formed header', () => {
  it('gives tensors in the order of their data, whatever the order of the header', () => {
    const parsed = parse({
      header: {
        z: { dtype: 'U8', shape: [2], data_offsets: [4, 6] },
        a: { dtype: 'F32', shape: [1], data_offsets: [0, 4] },
      },
      data: 6,
    });
    expect(parsed.tensors.map(({ name }) => name)).toEqual(['a', 'z']);
    expect(parsed.tensors[1]).toEqual({ name: 'z', dtype: 'U8', shape: [2], dataOffsets: [4, 6] });
  });

  it('may hold no tensors', () => {
    expect(parse({ header: '{}' })).toEqual({ byteLength: 10, tensors: [], metadata: undefined });
  });

  it('may be padded with white space', () => {
    expect(parse({ header: '{}  \t\r\n ' }).byteLength).toBe(16);
  });

  it('gives metadata in its own order, and tells none from an empty one', () => {
    const metadata = { format: 'pt', a: '' };
    expect([...(parse({ header: { __metadata__: metadata } }).metadata ?? [])]).toEqual([
      ['format', 'pt'],
      ['a', ''],
    ]);
    expect(parse({ header: { __metadata__: {} } }).metadata?.size).toBe(0);
  });

  it('may hold scalars and tensors without elements, which come before the tensor at their offset', () => {
    const parsed = parse({
      header: {
        scalar: { dtype: 'F32', shape: [], data_offsets: [0, 4] },
        end: { dtype: 'F32', shape: [0], data_offsets: [4, 4] },
        start: { dtype: 'F16', shape: [3, 0, 2], data_offsets: [0, 0] },
      },
      data: 4,
    });
    expect(parsed.tensors.map(({ name }) => name)).toEqual(['start', 'scalar', 'end']);
  });

  it.each(Object.keys(DTYPES) as Dtype[])('knows %s and its width', (dtype) => {
    const byteLength = DTYPES[dtype].bits; // 8 elements
    const good = { dtype, shape: [8], data_offsets: [0, byteLength] };
    expect(parse({ header: { w: good }, data: byteLength }).tensors[0].dtype).toBe(dtype);
    const bad = { dtype, shape: [8], data_offsets: [0, byteLength + 1] };
    expect(failure(() => parse({ header: { w: bad }, data: byteLength + 1 }))).toBeInstanceOf(FormatError);
  });

  it('keeps names that objects treat specially, escaped names and names with a byte order mark', () => {
    const names = ['__proto__', 'constructor', '', 'tab\tquote"', '\ufeffbom', '名前', '😀', '\u0000'];
    const members = names.map(
      (name) => `${JSON.stringify(name)}:${recordOfOne({ shape: '[0]', offsets: '[0,0]' })}`,
    );
    expect(parse({ header: `{${members.join(',')}}` }).tensors.map(({ name }) => name)).toEqual(names);
  });

  it('can be parsed from its own bytes alone', () => {
    const bytes = rawSafetensors({ header: headerOfOne({}), data: 4 });
    const options = { file: FILE, fileByteLength: bytes.byteLength };
    expect(parseSafetensorsHeader(bytes.subarray(0, bytes.byteLength - 4), options).tensors).toHaveLength(1);
  });
});

describe('a malformed header is a FormatError that names file, tensor and rule', () => {
  const attacks = HEADER_ATTACKS.map(([rule, raw, message, tensor]) => ({ rule, raw, message, tensor }));
  it.each(attacks)('$rule', ({ raw, message, tensor }) => {
    const error = failure(() => parse(raw)) as FormatError;
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toMatch(message);
    expect(error).toMatchObject({
      code: 'ERE_FORMAT',
      format: 'safetensors',
      file: FILE,
      tensor,
    });
    expect(error.message).toContain(FILE);
  });

  const pair = (first: [number, number], second: [number, number]) => ({
    header: {
      a: { dtype: 'U8', shape: [first[1] - first[0]], data_offsets: first },
      b: { dtype: 'U8', shape: [second[1] - second[0]], data_offsets: second },
    },
    data: Math.max(first[1], second[1]),
  });

  it.each([
    [
      'hole between tensors',
      pair([0, 2], [3, 4]),
      /tensor "b": bytes 2 to 3 of the data belong to no tensor/,
    ],
    ['tensors that overlap in part', pair([0, 2], [1, 4]), /tensor "b": data begins at 1, inside tensor "a"/],
    [
      'two tensors over the same bytes',
      pair([0, 2], [0, 2]),
      /tensor "b": data begins at 0, inside tensor "a"/,
    ],
    ['empty tensor inside another', pair([0, 4], [2, 2]), /tensor "b": data begins at 2, inside tensor "a"/],
    ['empty tensor past the end', pair([0, 4], [5, 5]), /tensor "b": bytes 4 to 5/],
  ])('%s', (_rule, raw, message) => {
    expect(failure(() => parse(raw))).toMatchObject({
      code: 'ERE_FORMAT',
      message: expect.stringMatching(message),
    });
  });

  it.each([0, 1, 7])('file of %i bytes', (byteLength) => {
    const error = failure(() => parseSafetensorsHeader(new Uint8Array(byteLength), { file: FILE }));
    expect(error).toMatchObject({
      code: 'ERE_FORMAT',
      message: expect.stringContaining(`has ${byteLength} bytes`),
    });
  });

  it('fewer header bytes given than the length claims', () => {
    const bytes = rawSafetensors({ header: '{} ' }).subarray(0, 10);
    expect(failure(() => parseSafetensorsHeader(bytes, { file: FILE, fileByteLength: 11 }))).toMatchObject({
      code: 'ERE_FORMAT',
      message: expect.stringContaining('takes 11 bytes, only 10'),
    });
  });

  it('a Git LFS pointer is told as such', () => {
    const bytes = new TextEncoder().encode(
      'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n',
    );
    expect(failure(() => parseSafetensorsHeader(bytes, { file: FILE }))).toMatchObject({
      code: 'ERE_FORMAT',
      message: expect.stringContaining('git lfs pull'),
    });
  });

  it('names the byte of the file where the rule is broken', () => {
    const error = failure(() => parse({ header: '{"a":1}' })) as FormatError;
    expect(error.offset).toBe(8 + 5);
  });

  it('a hostile name is escaped and cut in messages', () => {
    const name = `\u001b[2J${'x'.repeat(10_000)}`;
    const error = failure(() => parse({ header: { [name]: [] } })) as FormatError;
    expect(error.message).not.toContain('\u001b');
    expect(error.message.length).toBeLessThan(500);
    expect(error.tensor).toBe(name);
  });
});

it('an unknown dtype is an UnsupportedError that names it', () => {
  const error = failure(() => parse({ header: headerOfOne({ dtype: '"F2"' }), data: 4 })) as UnsupportedError;
  expect(error).toBeInstanceOf(UnsupportedError);
  expect(error.feature).toBe('safetensors dtype "F2"');
  expect(error.message).toMatch(/model\.safetensors, tensor "w": unknown dtype "F2"; .*BF16/);
});

it('dtypes are not looked up on the prototype', () => {
  expect(failure(() => parse({ header: headerOfOne({ dtype: '"constructor"' }), data: 4 }))).toBeInstanceOf(
    UnsupportedError,
  );
});

/** Malformed safetensors headers, one for each rule. */
import { LIMITS } from '../../formats/limits.js';
import type { RawSafetensors } from './safetensors-bytes.js';

/** One tensor "w" of four bytes with some fields replaced; JSON text, so that anything can be said. */
export function recordOfOne({ dtype = '"F32"', shape = '[1]', offsets = '[0,4]', more = '' } = {}): string {
  return `{"dtype":${dtype},"shape":${shape},"data_offsets":${offsets}${more}}`;
}

/** A header of that one tensor. */
export function headerOfOne(fields: Parameters<typeof recordOfOne>[0]): string {
  return `{"w":${recordOfOne(fields)}}`;
}

/** name of the rule · file · words that the message must hold besides the file · whether it names the tensor. */
export const HEADER_ATTACKS: readonly (readonly [
  rule: string,
  raw: RawSafetensors,
  message: RegExp,
  namesTensor?: 'w',
])[] = [
  [
    'header length over the limit',
    { header: '{}', claimedLength: 100_000_001n },
    /100000001 is over .*100000000/,
  ],
  [
    'header length of 2^64 - 1',
    { header: '{}', claimedLength: 2n ** 64n - 1n },
    /18446744073709551615 is over/,
  ],
  [
    'header length past the end of the file',
    { header: '{}', claimedLength: 3n },
    /header of 3 bytes does not fit, only 2/,
  ],
  ['empty header', { header: '' }, /does not begin with '{'/],
  ['white space before the header', { header: ' {}' }, /does not begin with '{'/],
  ['byte order mark before the header', { header: '\ufeff{}' }, /does not begin with '{'/],
  ['header that is an array', { header: '[]' }, /does not begin with '{'/],
  ['header cut off', { header: '{"w":' }, /not a JSON object: it ends here/, 'w'],
  ['bytes behind the object', { header: '{}{}' }, /the header is followed by other bytes/],
  ['zero bytes as padding', { header: '{}\0\0' }, /the header is followed by other bytes/],
  [
    'trailing comma',
    { header: `{"w":${recordOfOne()},}`, data: 4 },
    /a key of the header is not a JSON string/,
  ],
  ['missing colon', { header: '{"w" 1}' }, /expected ':' after the key "w"/],
  ['missing comma', { header: `{"w":${recordOfOne()}"x":1}`, data: 4 }, /expected ',' or '}'/],
  ['single quotes', { header: "{'w':1}" }, /not a JSON string/],
  ['comment', { header: '{/**/}' }, /not a JSON string/],
  ['string without end', { header: '{"w' }, /no closing quote/],
  ['string that ends in a backslash', { header: '{"w\\' }, /no closing quote/],
  ['control character in a string', { header: '{"a\nb":1}' }, /unescaped control character/],
  ['invalid escape', { header: '{"\\x41":1}' }, /invalid escape/],
  ['half of a surrogate pair', { header: '{"\\ud800":1}' }, /half of a surrogate pair/],
  ['invalid UTF-8', { header: Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d) }, /not valid UTF-8/],
  [
    'overlong UTF-8',
    { header: Uint8Array.of(0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d) },
    /not valid UTF-8/,
  ],
  [
    'surrogate as UTF-8',
    { header: Uint8Array.of(0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x7d) },
    /not valid UTF-8/,
  ],
  [
    'tensor name twice',
    { header: `{"w":${recordOfOne()},"w":${recordOfOne()}}`, data: 4 },
    /the key "w" twice/,
  ],
  [
    'tensor name twice, once escaped',
    { header: `{"w":${recordOfOne()},"\\u0077":${recordOfOne()}}`, data: 4 },
    /the key "w" twice/,
  ],
  [
    '__proto__ twice',
    { header: `{"__proto__":${recordOfOne()},"__proto__":${recordOfOne()}}`, data: 4 },
    /"__proto__" twice/,
  ],
  ['metadata twice', { header: '{"__metadata__":{},"__metadata__":{}}' }, /the key "__metadata__" twice/],
  [
    'metadata key twice',
    { header: '{"__metadata__":{"a":"1","a":"2"}}' },
    /__metadata__ has the key "a" twice/,
  ],
  ['metadata that is null', { header: '{"__metadata__":null}' }, /__metadata__ is not a JSON object/],
  [
    'metadata that is a tensor',
    { header: `{"__metadata__":${recordOfOne()}}`, data: 4 },
    /value of "shape" is not a JSON string/,
  ],
  [
    'metadata value that is a number',
    { header: '{"__metadata__":{"a":1}}' },
    /value of "a" is not a JSON string/,
  ],
  ['tensor that is not an object', { header: '{"w":[]}' }, /the tensor is not a JSON object/, 'w'],
  ['field twice', { header: headerOfOne({ more: ',"shape":[1]' }), data: 4 }, /the key "shape" twice/, 'w'],
  [
    'unknown field',
    { header: headerOfOne({ more: ',"strides":[1]' }), data: 4 },
    /unknown field "strides"/,
    'w',
  ],
  ['dtype missing', { header: '{"w":{"shape":[1],"data_offsets":[0,4]}}', data: 4 }, /dtype is missing/, 'w'],
  [
    'shape missing',
    { header: '{"w":{"dtype":"F32","data_offsets":[0,4]}}', data: 4 },
    /shape is missing/,
    'w',
  ],
  [
    'offsets missing',
    { header: '{"w":{"dtype":"F32","shape":[1]}}', data: 4 },
    /data_offsets is missing/,
    'w',
  ],
  [
    'dtype that is a number',
    { header: headerOfOne({ dtype: '1' }), data: 4 },
    /dtype is not a JSON string/,
    'w',
  ],
  [
    'shape that is a number',
    { header: headerOfOne({ shape: '1' }), data: 4 },
    /shape is not a JSON array/,
    'w',
  ],
  [
    'negative dimension',
    { header: headerOfOne({ shape: '[-1]' }), data: 4 },
    /shape\[0\] is not an unsigned integer: -1/,
    'w',
  ],
  [
    'minus zero',
    { header: headerOfOne({ shape: '[-0]', offsets: '[0,0]' }) },
    /not an unsigned integer: -0/,
    'w',
  ],
  [
    'fractional dimension',
    { header: headerOfOne({ shape: '[1.0]' }), data: 4 },
    /not an unsigned integer: 1\.0/,
    'w',
  ],
  [
    'dimension with an exponent',
    { header: headerOfOne({ shape: '[1e0]' }), data: 4 },
    /not an unsigned integer: 1e0/,
    'w',
  ],
  [
    'dimension with a leading zero',
    { header: headerOfOne({ shape: '[01]' }), data: 4 },
    /not a JSON number: 01/,
    'w',
  ],
  [
    'dimension as text',
    { header: headerOfOne({ shape: '["1"]' }), data: 4 },
    /shape\[0\] is not a number/,
    'w',
  ],
  [
    'dimension that is null',
    { header: headerOfOne({ shape: '[null]' }), data: 4 },
    /shape\[0\] is not a number/,
    'w',
  ],
  [
    'dimension of 2^53',
    { header: headerOfOne({ shape: '[9007199254740992]' }), data: 4 },
    /over 2\^53 - 1/,
    'w',
  ],
  [
    'dimension that rounds to 2^53 - 1',
    { header: headerOfOne({ shape: '[9007199254740991.4]' }), data: 4 },
    /not an unsigned integer/,
    'w',
  ],
  [
    'dimension of 400 digits',
    { header: headerOfOne({ shape: `[${'9'.repeat(400)}]` }), data: 4 },
    /over 2\^53 - 1/,
    'w',
  ],
  [
    'shape that overflows',
    { header: headerOfOne({ shape: '[4294967296,4294967296]' }), data: 4 },
    /overflows/,
    'w',
  ],
  [
    'shape that overflows before a zero',
    { header: headerOfOne({ shape: '[4294967296,4294967296,0]', offsets: '[0,0]' }) },
    /overflows/,
    'w',
  ],
  [
    'shape whose bits overflow',
    { header: headerOfOne({ shape: '[9007199254740991]' }), data: 4 },
    /do not fill whole bytes|overflow/,
    'w',
  ],
  [
    'too many dimensions',
    { header: headerOfOne({ shape: `[${Array(LIMITS.dimensions + 1).fill(1)}]` }), data: 4 },
    /over 64 dimensions/,
    'w',
  ],
  ['one offset', { header: headerOfOne({ offsets: '[0]' }), data: 4 }, /data_offsets has under two/, 'w'],
  ['no offset', { header: headerOfOne({ offsets: '[]' }), data: 4 }, /data_offsets has under two/, 'w'],
  [
    'three offsets',
    { header: headerOfOne({ offsets: '[0,4,4]' }), data: 4 },
    /data_offsets has over two/,
    'w',
  ],
  [
    'negative offset',
    { header: headerOfOne({ offsets: '[-4,0]' }), data: 4 },
    /data_offsets\[0\] is not an unsigned/,
    'w',
  ],
  [
    'offset of 2^63',
    { header: headerOfOne({ offsets: '[0,9223372036854775808]' }), data: 4 },
    /over 2\^53 - 1/,
    'w',
  ],
  [
    'offsets that go back',
    { header: headerOfOne({ offsets: '[4,0]' }), data: 4 },
    /\[4, 0\] end before they begin/,
    'w',
  ],
  [
    'too few bytes for the shape',
    { header: headerOfOne({ shape: '[2]' }), data: 4 },
    /F32 \[2\] takes 8 bytes, .* span 4/,
    'w',
  ],
  [
    'too many bytes for the shape',
    { header: headerOfOne({ offsets: '[0,8]' }), data: 8 },
    /F32 \[1\] takes 4 bytes, .* span 8/,
    'w',
  ],
  [
    'bits that do not fill a byte',
    { header: headerOfOne({ dtype: '"F4"', shape: '[3]', offsets: '[0,2]' }), data: 2 },
    /3 elements of 4 bits \(F4\)/,
    'w',
  ],
  [
    'hole before the first tensor',
    { header: headerOfOne({ offsets: '[1,5]' }), data: 5 },
    /bytes 0 to 1 of the data belong to no tensor/,
    'w',
  ],
  [
    'file that ends inside a tensor',
    { header: headerOfOne({}), data: 3 },
    /data ends at 4, the file has 3 bytes/,
    'w',
  ],
  [
    'bytes behind the last tensor',
    { header: headerOfOne({}), data: 5 },
    /last tensor ends at 4, the file has 5 bytes/,
  ],
  [
    'data that belong to no tensor at all',
    { header: '{}', data: 1 },
    /last tensor ends at 0, the file has 1 bytes/,
  ],
];

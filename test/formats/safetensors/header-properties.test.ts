import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DTYPES, type Dtype, tensorByteLength } from '../../../formats/dtype.js';
import { isEreError } from '../../../formats/errors.js';
import { parseSafetensorsHeader } from '../../../formats/safetensors/parse-header.js';
import {
  serializeSafetensorsHeader,
  type TensorSpec,
} from '../../../formats/safetensors/serialize-header.js';
import { rawSafetensors } from '../../helpers/safetensors-bytes.js';

const dtypes = Object.keys(DTYPES) as Dtype[];
// Whole Unicode, but no lone surrogates, which the format cannot hold.
const text = fc.string({ unit: 'binary', maxLength: 12 });
const spec: fc.Arbitrary<TensorSpec> = fc
  .record({
    name: text,
    dtype: fc.constantFrom(...dtypes),
    shape: fc.array(fc.nat({ max: 9 }), { maxLength: 5 }),
  })
  .filter(
    ({ name, dtype, shape }) => name !== '__metadata__' && tensorByteLength(dtype, shape) !== undefined,
  );
const specs = fc.uniqueArray(spec, { selector: ({ name }) => name, maxLength: 8 });
const metadata = fc.option(
  fc.array(fc.tuple(text, text)).map((entries) => new Map(entries)),
  { nil: undefined },
);

function neverAnotherError(bytes: Uint8Array): void {
  try {
    parseSafetensorsHeader(bytes, { file: 'random' });
  } catch (error) {
    if (!isEreError(error, 'ERE_FORMAT', 'ERE_UNSUPPORTED')) throw error;
  }
}

it('what is serialised parses back: same tensors, order and metadata', () => {
  fc.assert(
    fc.property(specs, metadata, (tensors, entries) => {
      const header = serializeSafetensorsHeader(tensors, entries);
      const dataByteLength = tensors.reduce((sum, t) => sum + (tensorByteLength(t.dtype, t.shape) ?? 0), 0);
      const options = { file: 'f', fileByteLength: header.byteLength + dataByteLength };
      const parsed = parseSafetensorsHeader(header, options);
      expect(parsed.byteLength).toBe(header.byteLength);
      expect(header.byteLength % 8).toBe(0);
      expect(parsed.tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape }))).toEqual(tensors);
      expect(parsed.metadata).toEqual(entries);
      expect([...(parsed.metadata?.keys() ?? [])]).toEqual([...(entries?.keys() ?? [])]);
      expect(serializeSafetensorsHeader(parsed.tensors, parsed.metadata)).toEqual(header);
    }),
    { numRuns: 300 },
  );
});

it('random bytes throw only FormatError and UnsupportedError', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), neverAnotherError), { numRuns: 2000 });
});

it('a random header behind a true length throws only FormatError and UnsupportedError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      neverAnotherError(rawSafetensors({ header: Uint8Array.of(0x7b, ...bytes) }));
    }),
    { numRuns: 2000 },
  );
});

it('random JSON as header throws only FormatError and UnsupportedError', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 4 }), fc.nat({ max: 20 }), (json, data) => {
      neverAnotherError(rawSafetensors({ header: `{"w":${json}}`, data }));
    }),
    { numRuns: 500 },
  );
});

it('a flipped byte of a good file parses to the same layout or throws only our errors', () => {
  const good = rawSafetensors({
    header: {
      __metadata__: { format: 'pt' },
      a: { dtype: 'BF16', shape: [2, 3], data_offsets: [0, 12] },
      b: { dtype: 'I64', shape: [], data_offsets: [12, 20] },
    },
    data: 20,
  });
  for (let position = 0; position < good.length; position++) {
    for (const flip of [0x01, 0x02, 0x10, 0x20, 0x80, 0xff]) {
      const bytes = good.slice();
      bytes[position] ^= flip;
      neverAnotherError(bytes);
    }
  }
});

it('a header of deep brackets fails at once, without recursion', () => {
  const error = () =>
    parseSafetensorsHeader(rawSafetensors({ header: `{"w":${'['.repeat(1_000_000)}` }), { file: 'f' });
  expect(error).toThrow(/the tensor is not a JSON object/);
});

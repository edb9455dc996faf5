/** A sketch as a file: back as it was, and every broken one refused. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32 } from '../../../formats/crc32.js';
import { DTYPES, type Dtype } from '../../../formats/dtype.js';
import { isEreError } from '../../../formats/errors.js';
import { parseSketch } from '../../../formats/sketch/parse-sketch.js';
import { serializeSketch } from '../../../formats/sketch/serialize-sketch.js';
import { type Sketch, type SketchedTensor, sampleCount } from '../../../formats/sketch/sketch.js';
import { bytesOf, randomFloatBits } from '../../kernels/samples.js';

const layout = fc.record({
  name: fc.string({ unit: 'binary', maxLength: 12 }),
  dtype: fc.constantFrom(...(Object.keys(DTYPES) as Dtype[])),
  shape: fc.array(fc.nat({ max: 90 }), { maxLength: 3 }),
  seed: fc.nat(),
  hasDigest: fc.boolean(),
});
const sketches = fc
  .uniqueArray(layout, { selector: ({ name }) => name, maxLength: 6 })
  .map((layouts): Sketch => {
    const tensors = layouts.map(({ name, seed, hasDigest, ...tensor }): [string, SketchedTensor] => [
      name,
      {
        ...tensor,
        ...(hasDigest ? { digest: `sha256:${seed.toString(16).padStart(64, '0')}` as const } : {}),
        samples: randomFloatBits(sampleCount(tensor), seed),
      },
    ]);
    return { tensors: new Map(tensors) };
  });

const plain = ({ tensors }: Sketch) =>
  [...tensors].map(([name, { samples, ...tensor }]) => [name, tensor, bytesOf(samples).toString('hex')]);

/** One float matrix. */
const small: Sketch = {
  tensors: new Map([['w', { dtype: 'F32', shape: [2, 3], samples: Float32Array.of(1, -2, 3, 0, 5, 6) }]]),
};

/** A stored sketch with this JSON and these samples. */
function sketchFile(json: string, planes = new Uint8Array(0), change: (view: DataView) => void = () => {}) {
  const text = new TextEncoder().encode(json);
  const bytes = new Uint8Array(28 + text.byteLength + planes.byteLength);
  bytes.set([0x89, 0x45, 0x52, 0x53, 0x31, 0x0d, 0x0a, 0x1a]);
  bytes.set(text, 28);
  bytes.set(planes, 28 + text.byteLength);
  const view = new DataView(bytes.buffer);
  view.setUint32(12, text.byteLength, true);
  view.setUint32(16, planes.byteLength / 4, true);
  view.setUint32(20, bytes.byteLength - 28, true);
  view.setUint32(24, crc32(bytes.subarray(28)), true);
  change(view);
  return bytes;
}

const tensor = (fields: object) =>
  JSON.stringify({ tensors: [{ name: 'w', dtype: 'U8', shape: [2], ...fields }] });

describe('a sketch', () => {
  it('comes back bit for bit, in the same order', async () => {
    await fc.assert(
      fc.asyncProperty(sketches, async (sketch) => {
        const bytes = await serializeSketch(sketch);
        expect(plain(await parseSketch(bytes, 'a.ers'))).toEqual(plain(sketch));
        expect(await serializeSketch(sketch)).toEqual(bytes);
      }),
      { numRuns: 40 },
    );
  });

  it('of zeros deflates too far, and is stored', async () => {
    const names = Array.from({ length: 400 }, (_, i) => `layer.${i}`);
    const zeros: SketchedTensor = { dtype: 'F32', shape: [64], samples: new Float32Array(64) };
    const bytes = await serializeSketch({ tensors: new Map(names.map((name) => [name, zeros])) });
    expect((await parseSketch(bytes, 'a.ers')).tensors.size).toBe(400);
  });

  it('with another number of samples than its shape says is not written', async () => {
    const wrong = { tensors: new Map([['w', { dtype: 'F32', shape: [3], samples: new Float32Array(2) }]]) };
    await expect(serializeSketch(wrong as Sketch)).rejects.toThrow(/tensor "w": expected 3 samples, got 2/);
  });

  it('that is cut or changed anywhere is refused with an error of ours', async () => {
    const bytes = await serializeSketch(small);
    for (let length = 0; length < bytes.byteLength; length++) {
      await expect(parseSketch(bytes.subarray(0, length), 'a.ers')).rejects.toSatisfy((error) =>
        isEreError(error),
      );
    }
    for (let at = 0; at < bytes.byteLength; at++) {
      const changed = bytes.slice();
      changed[at]! ^= 0x10;
      await expect(parseSketch(changed, 'a.ers')).rejects.toSatisfy((error) => isEreError(error));
    }
  });

  it.each([
    ['no sketch at all', new Uint8Array(40), 'ERE_FORMAT', /a\.ers: not a sketch/],
    [
      'a later version',
      sketchFile('{}', undefined, (view) => view.setUint8(4, 0x32)),
      'ERE_UNSUPPORTED',
      /sketch version "2"; this build reads version 1/,
    ],
    [
      'another encoding',
      sketchFile('{}', undefined, (view) => view.setUint32(8, 9, true)),
      'ERE_UNSUPPORTED',
      /sketch encoding 9/,
    ],
    [
      'more than it can hold',
      sketchFile('{}', undefined, (view) => view.setUint32(16, 1e9, true)),
      'ERE_LIMIT',
      /a sketch of \d+ bytes from 2 stored ones/,
    ],
    [
      'another body length',
      sketchFile('{}', undefined, (view) => view.setUint32(12, 3, true)),
      'ERE_FORMAT',
      /expected a body of 3 bytes, found 2/,
    ],
    [
      'a wrong checksum',
      sketchFile('{}', undefined, (view) => view.setUint32(24, 0, true)),
      'ERE_INTEGRITY',
      /a\.ers, sketch: expected CRC-32 00000000/,
    ],
    ['no JSON', sketchFile('{'), 'ERE_FORMAT', /expected JSON in UTF-8/],
    ['no tensors', sketchFile('{}'), 'ERE_FORMAT', /sketch: expected a field "tensors"/],
    [
      'a name twice',
      sketchFile('{"tensors":[{"name":"w","dtype":"U8","shape":[]},{"name":"w","dtype":"U8","shape":[]}]}'),
      'ERE_FORMAT',
      /no other tensor has/,
    ],
    ['an unknown dtype', sketchFile(tensor({ dtype: 'F17' })), 'ERE_FORMAT', /expected a dtype, found "F17"/],
    [
      'a negative dimension',
      sketchFile(tensor({ shape: [-1] })),
      'ERE_FORMAT',
      /expected a non-negative integer/,
    ],
    [
      'a huge shape',
      sketchFile(tensor({ shape: [2 ** 40, 2 ** 40] })),
      'ERE_FORMAT',
      /a shape of at most 2\^53 elements/,
    ],
    [
      'too many dimensions',
      sketchFile(tensor({ shape: Array(65).fill(1) })),
      'ERE_FORMAT',
      /at most 64 dimensions/,
    ],
    ['a malformed digest', sketchFile(tensor({ digest: 'sha256:0' })), 'ERE_FORMAT', /expected a digest/],
    [
      'too few samples',
      sketchFile(tensor({ dtype: 'F32' }), new Uint8Array(4)),
      'ERE_FORMAT',
      /expected samples of at most 1 elements/,
    ],
    [
      'too many samples',
      sketchFile(tensor({ dtype: 'F32' }), new Uint8Array(12)),
      'ERE_FORMAT',
      /expected tensors with 3 samples, found 2/,
    ],
  ] as const)('that has %s is refused', async (_, bytes, code, message) => {
    const error = await parseSketch(bytes, 'a.ers').catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
  });
});

/** A tensor read at any place as some of its terms give it. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { nodeRuntime } from '../../src/io/node-runtime.js';
import { decodeTensor } from '../../src/residual/decode-tensor.js';
import { openReconstruction } from '../../src/residual/reconstruction.js';
import { codedTensor } from '../helpers/arbitrary-terms.js';

const runtime = nodeRuntime('wasm');

it('reads the bytes that the decoder gives, in any order', async () => {
  await fc.assert(
    fc.asyncProperty(
      codedTensor,
      fc.array(fc.tuple(fc.nat(400), fc.nat(400)), { minLength: 1, maxLength: 6 }),
      async ({ tensor, chunks, base }, ranges) => {
        const input = {
          tensor,
          archive: 'a.ere',
          readChunk: async (chunk: number) => chunks[chunk],
          ...(base === undefined
            ? {}
            : { readBase: async (offset: number, length: number) => base.subarray(offset, offset + length) }),
          runtime,
        };
        const parts: Buffer[] = [];
        try {
          await decodeTensor({ ...input, write: (_, bytes) => void parts.push(Buffer.from(bytes)) });
        } catch {
          return; // Rows that nothing codes.
        }
        const whole = Buffer.concat(parts);
        const reconstruction = openReconstruction(input);
        for (const [from, count] of ranges) {
          const start = from % whole.length;
          const length = Math.min(count, whole.length - start);
          const { bytes: found } = await reconstruction.read(start, length);
          expect(Buffer.from(found).equals(whole.subarray(start, start + length))).toBe(true);
        }
        await expect(reconstruction.read(whole.length, 1)).rejects.toThrow(RangeError);
        await reconstruction.close();
      },
    ),
    { numRuns: 150 },
  );
});

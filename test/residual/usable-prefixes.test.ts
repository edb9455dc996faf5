/** The shortest prefix that decodes, against a scan over all of them. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ArchiveIndex, ArchiveTensor, ArchiveTerm, Digest } from '../../formats/ere/archive-index.js';
import { lossOf, selectTensors } from '../../src/residual/select-tensors.js';
import { firstUsableChunkCount } from '../../src/residual/usable-prefixes.js';
import { digestOf } from '../helpers/archive-builder.js';

const digest = digestOf('any') as Digest;
const quality = { squaredError: 1, squaredResidual: 10 };

interface Piece {
  readonly chunkCount: number;
  /** Whether the encoder said what each chunk is worth. */
  readonly isAdditive: boolean;
  readonly rows: readonly [number, number] | undefined;
}

const piece: fc.Arbitrary<Piece> = fc.record({
  chunkCount: fc.integer({ min: 0, max: 3 }),
  isAdditive: fc.boolean(),
  rows: fc.constantFrom(undefined, [0, 2] as const, [2, 4] as const, [1, 3] as const),
});

const tensor = fc.record({
  pieces: fc.array(piece, { maxLength: 3 }),
  base: fc.constantFrom(undefined, { digest }, { digest, shape: [2, 3] }, { digest, dtype: 'I32' as const }),
  lossyTerms: fc.option(fc.nat(2), { nil: undefined }),
  statesLoss: fc.boolean(),
});

/** Tensors whose terms take chunks 0, 1, … in a shuffled order; chunk `header` is that of the weight file. */
const index = fc
  .tuple(fc.array(tensor, { minLength: 1, maxLength: 4 }), fc.nat(), fc.infiniteStream(fc.nat()))
  .map(([tensors, header, order]) => {
    const count = tensors
      .flatMap(({ pieces }) => pieces)
      .reduce((sum, { chunkCount }) => sum + chunkCount, 1);
    const numbers = Array.from({ length: count }, (_, i) => ({ i, key: order.next().value! }))
      .sort((x, y) => x.key - y.key || x.i - y.i)
      .map(({ i }) => i);
    const files = [{ header: { chunk: numbers.splice(header % count, 1)[0]! } }];
    const records = tensors.map(({ pieces, base, lossyTerms, statesLoss }): Partial<ArchiveTensor> => {
      const terms = pieces.map(({ chunkCount, isAdditive, rows }): ArchiveTerm => {
        const chunks = numbers.splice(0, chunkCount);
        return {
          codec: isAdditive ? 'dense' : 'bytes',
          chunks,
          ...(isAdditive ? { errorDrops: chunks.map(() => 1) } : {}),
          ...(rows === undefined ? {} : { rows }),
          params: {},
        };
      });
      const isRefined = lossyTerms !== undefined && lossyTerms < terms.length;
      return {
        name: 'w',
        dtype: 'F32',
        shape: [4, 3],
        columns: 3,
        digest,
        terms,
        ...(base === undefined ? {} : { base }),
        ...(isRefined ? { lossy: { terms: lossyTerms, digest, quality } } : statesLoss ? { quality } : {}),
      };
    });
    return { files, sideFiles: [], tensors: records, chunks: Array(count).fill([1, 0]) };
  });

test('the shortest usable prefix is the first that a scan finds', () => {
  fc.assert(
    fc.property(index, (fields) => {
      const archive = { index: fields as unknown as ArchiveIndex };
      const header = fields.files[0]!.header.chunk + 1;
      const isUsable = (chunkCount: number) => {
        const cuts = selectTensors(archive.index, { level: 'best', chunkCount });
        return cuts !== undefined && lossOf(cuts).relativeError !== undefined;
      };
      let expected = header;
      while (!isUsable(expected)) expected++;
      expect(firstUsableChunkCount(archive)).toBe(expected);
    }),
    { numRuns: 500 },
  );
});

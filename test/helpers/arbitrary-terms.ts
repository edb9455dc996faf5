/** Tensors with any lists of terms that docs/spec/codecs.md allows, for properties about decoders. */
import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { DTYPES, type Dtype } from '../../formats/dtype.js';
import type { ArchiveTerm } from '../../formats/ere/archive-index.js';
import type { DecodableTensor } from '../../src/residual/tensor-decoder.js';

export interface CodedTensor {
  readonly tensor: DecodableTensor;
  readonly chunks: readonly Uint8Array[];
  readonly base: Uint8Array | undefined;
}

const DTYPES_TRIED: readonly Dtype[] = ['F64', 'F32', 'F16', 'BF16', 'F8_E4M3', 'F8_E5M2', 'I32', 'U8'];
const bytesOf = (byteLength: number) =>
  fc.uint8Array({ minLength: byteLength, maxLength: byteLength, size: 'max' });
const scale = fc.float({ noNaN: true, noDefaultInfinity: true, min: -1, max: 1 });

interface Term {
  readonly term: Omit<ArchiveTerm, 'chunks' | 'rows'>;
  readonly chunks: readonly Uint8Array[];
}

function lowRank(rows: number, columns: number): fc.Arbitrary<Term> {
  const component = fc.integer({ min: 2, max: 16 }).chain((bits) => {
    const byteLength = Math.ceil((rows * bits) / 8) + Math.ceil((columns * bits) / 8);
    // Gains of up to 2^10 keep the sums of the widest codes below 2^53.
    const gain = fc.integer({ min: 0, max: 1024 });
    return fc.tuple(gain, gain, bytesOf(byteLength)).map(([gainA, gainB, codes]) => {
      const header = Buffer.alloc(5);
      header[0] = bits;
      header.writeUInt16LE(gainA, 1);
      header.writeUInt16LE(gainB, 3);
      return Buffer.concat([header, codes]);
    });
  });
  const band = fc.array(component, { minLength: 1, maxLength: 3 });
  return fc.tuple(scale, fc.array(band, { minLength: 1, maxLength: 3 })).map(([value, bands]) => ({
    term: { codec: 'low-rank', params: { scale: value, bands: bands.map((items) => items.length) } },
    chunks: bands.map((items) => new Uint8Array(Buffer.concat(items))),
  }));
}

function dense(rows: number, columns: number): fc.Arbitrary<Term> {
  const params = fc.record({
    scale,
    bits: fc.integer({ min: 2, max: 16 }),
    blockRows: fc.integer({ min: 1, max: rows + 1 }),
  });
  return params.chain(({ bits, blockRows, ...rest }) => {
    const chunks = Array.from({ length: Math.ceil(rows / blockRows) }, (_, i) => {
      const count = Math.min(blockRows, rows - i * blockRows);
      return bytesOf(count * 2 + Math.ceil((count * columns * bits) / 8));
    });
    return fc.tuple(...chunks).map((payload) => ({
      term: { codec: 'dense', params: { ...rest, bits, blockRows } },
      chunks: payload,
    }));
  });
}

function sign(rows: number, columns: number): fc.Arbitrary<Term> {
  return fc.tuple(scale, fc.integer({ min: 1, max: rows + 1 })).chain(([value, blockRows]) => {
    const chunks = Array.from({ length: Math.ceil(rows / blockRows) }, (_, i) =>
      bytesOf(Math.ceil((Math.min(blockRows, rows - i * blockRows) * columns) / 8)),
    );
    return fc.tuple(...chunks).map((payload) => ({
      term: { codec: 'sign', params: { scale: value, blockRows } },
      chunks: payload,
    }));
  });
}

const ADDITIVE = { 'low-rank': lowRank, dense, sign };

/** An additive term as a truncated archive may hold it: without its last chunks. */
function cut(term: fc.Arbitrary<Term>): fc.Arbitrary<Term> {
  return fc.tuple(term, fc.nat(3)).map(([{ term, chunks }, wanted]) => {
    const missing = Math.min(wanted, chunks.length);
    if (missing === 0) return { term, chunks };
    return { term: { ...term, missing }, chunks: chunks.slice(0, chunks.length - missing) };
  });
}

function exact(rows: number, rowByteLength: number, canPredict: boolean): fc.Arbitrary<Term> {
  const byteLength = rows * rowByteLength;
  const words = [1, 2, 4, 8].filter((word) => rowByteLength % word === 0);
  return fc
    .record({
      predict: fc.constantFrom('none', 'reconstruction', ...(canPredict ? ['base'] : [])),
      word: fc.constantFrom(...words),
      wordsPerSegment: fc.integer({ min: 1, max: 40 }),
      payload: bytesOf(byteLength),
      isDeflated: fc.boolean(),
    })
    .map(({ predict, word, wordsPerSegment, payload, isDeflated }) => {
      const segment = word * wordsPerSegment;
      const parts = Array.from({ length: Math.ceil(byteLength / segment) }, (_, i) =>
        payload.subarray(i * segment, (i + 1) * segment),
      );
      const encodings = parts.map(() => (isDeflated ? 'deflate-raw' : 'stored'));
      return {
        term: { codec: 'bytes', params: { predict, word, segment, encodings } },
        chunks: isDeflated ? parts.map((part) => new Uint8Array(deflateRawSync(part))) : parts,
      };
    });
}

/** Any payload is one: damaged ones decode to garbage, which is specified too. */
function interval(rows: number, columns: number, dtype: Dtype, canPredict: boolean): fc.Arbitrary<Term> {
  return fc
    .record({
      predict: fc.constantFrom('none', 'reconstruction', ...(canPredict ? ['base'] : [])),
      chunkRows: fc.integer({ min: 1, max: rows + 1 }),
      unit: fc.oneof(fc.integer({ min: -30, max: 2 }), fc.integer({ min: -1000, max: 800 })),
      skip: fc.constantFrom(0, 1, 2),
      means: fc.boolean(),
      drop: fc.constant(0),
      wideDrop: fc.integer({ min: 0, max: 23 }),
    })
    .chain(({ wideDrop, ...params }) => {
      const payload = fc.uint8Array({ maxLength: columns * 12 });
      const count = Math.ceil(rows / params.chunkRows);
      return fc.array(payload, { minLength: count, maxLength: count }).map((chunks) => ({
        term: { codec: 'interval', params: { ...params, drop: dtype === 'F32' ? wideDrop : 0 } },
        chunks,
      }));
    });
}

/** The same of small elements: any threshold, and any payload. */
function intervalSmall(rows: number, columns: number): fc.Arbitrary<Term> {
  return fc
    .record({
      chunkRows: fc.integer({ min: 1, max: rows + 1 }),
      below: fc.float({ min: Math.fround(1e-3), max: 100, noNaN: true }),
      unit: fc.oneof(fc.integer({ min: -30, max: 2 }), fc.integer({ min: -1000, max: 800 })),
      drop: fc.integer({ min: 0, max: 23 }),
    })
    .chain((params) => {
      const payload = fc.uint8Array({ maxLength: columns * 12 });
      const count = Math.ceil(rows / params.chunkRows);
      return fc.array(payload, { minLength: count, maxLength: count }).map((chunks) => ({
        term: { codec: 'interval-small', params },
        chunks,
      }));
    });
}

/** A tensor of up to 5 × 5, with a base of 0 to 7 rows or none, and up to three terms on any rows. */
export const codedTensor: fc.Arbitrary<CodedTensor> = fc
  .record({
    dtype: fc.constantFrom(...DTYPES_TRIED),
    baseDtype: fc.constantFrom(...DTYPES_TRIED),
    sameDtype: fc.boolean(),
    rows: fc.integer({ min: 1, max: 5 }),
    columns: fc.integer({ min: 1, max: 5 }),
    baseRows: fc.option(fc.integer({ min: 0, max: 7 }), { nil: undefined }),
    termCount: fc.integer({ min: 0, max: 3 }),
  })
  .chain(({ dtype, sameDtype, rows, columns, baseRows, termCount, ...other }) => {
    const baseDtype = sameDtype || baseRows === undefined ? dtype : other.baseDtype;
    const rowByteLength = (columns * DTYPES[dtype].bits) / 8;
    const isFloat = DTYPES[dtype].kind === 'float' && DTYPES[baseDtype].kind === 'float';
    const range = fc
      .tuple(fc.boolean(), fc.integer({ min: 0, max: rows - 1 }), fc.integer({ min: 1, max: rows }))
      .map(([isWhole, start, length]) =>
        isWhole ? undefined : ([start, Math.min(rows, start + length)] as const),
      );
    const term = fc
      .tuple(
        range,
        fc.constantFrom(
          'exact' as const,
          'interval' as const,
          'interval-small' as const,
          'low-rank' as const,
          'dense' as const,
          'sign' as const,
        ),
      )
      .chain(([covered, kind]) => {
        const [start, end] = covered ?? [0, rows];
        const canPredict = baseDtype === dtype && end <= (baseRows ?? 0);
        const coded =
          kind === 'interval'
            ? interval(end - start, columns, dtype, canPredict)
            : kind === 'interval-small' && DTYPES[dtype].kind === 'float' && dtype !== 'F64'
              ? intervalSmall(end - start, columns)
              : kind === 'exact' || kind === 'interval-small' || !isFloat
                ? exact(end - start, rowByteLength, canPredict)
                : cut(ADDITIVE[kind](end - start, columns));
        return coded.map(({ term, chunks }) => ({
          term: { ...term, ...(covered === undefined ? {} : { rows: covered }) },
          chunks,
        }));
      });
    const base =
      baseRows === undefined
        ? fc.constant(undefined)
        : bytesOf((baseRows * columns * DTYPES[baseDtype].bits) / 8);
    return fc
      .tuple(fc.array(term, { minLength: termCount, maxLength: termCount }), base)
      .map(([terms, bytes]) => {
        let next = 0;
        return {
          tensor: {
            name: 'w',
            dtype,
            shape: [rows, columns],
            columns,
            terms: terms.map(({ term, chunks }) => ({ ...term, chunks: chunks.map(() => next++) })),
            ...(baseRows === undefined ? {} : { base: { dtype: baseDtype, shape: [baseRows, columns] } }),
          },
          chunks: terms.flatMap(({ chunks }) => chunks),
          base: bytes,
        };
      });
  });

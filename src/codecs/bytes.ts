/**
 * Codec "bytes" (docs/spec/codecs.md §4): rows stored exactly, as they are or as the wrapping
 * difference of little-endian words to a prediction, split into byte planes and deflated.
 */
import { deflateRaw, inflateRaw } from '../../formats/deflate.js';
import { DTYPES } from '../../formats/dtype.js';
import type { Kernels } from '../kernels/kernels.js';
import type { Codec, EncodedTerm, ExactDecoder, ExactInput, Prediction, TermContext } from './codec.js';
import { choiceParam, codecError, expectByteLength, expectChunks, integerParam } from './params.js';

/** Bytes in a segment before compression; the unit of random access. */
const SEGMENT_BYTE_LENGTH = 4 << 20;

/** A segment is held in memory, like the chunk that stores it (LIMITS.chunkByteLength). */
const LARGEST_SEGMENT_BYTE_LENGTH = 2 ** 28;

/** Word widths that have byte planes; 1 leaves the bytes in order. */
const WORD_BYTE_LENGTHS = [1, 2, 4, 8] as const;

const ENCODINGS = ['stored', 'deflate-raw'] as const;

const PREDICTIONS = ['none', 'base', 'reconstruction'] as const satisfies readonly Prediction[];

/** A segment as it is stored. */
interface Segment {
  readonly bytes: Uint8Array;
  readonly encoding: (typeof ENCODINGS)[number];
}

/**
 * Encodes rows as they are, or as their difference to the prediction: whichever is smaller over the whole
 * term. Applies to everything.
 */
export async function encodeBytes(input: ExactInput): Promise<EncodedTerm> {
  const { dtype, rowCount, rowByteLength, read, prediction, kernels } = input;
  const word = WORD_BYTE_LENGTHS.find((width) => width * 8 === DTYPES[dtype].bits) ?? 1;
  const byteLength = rowCount * rowByteLength;
  const plain: Segment[] = [];
  const differences: Segment[] = [];
  for (let start = 0; start < byteLength; start += SEGMENT_BYTE_LENGTH) {
    const length = Math.min(SEGMENT_BYTE_LENGTH, byteLength - start);
    const bytes = await read(start, length);
    plain.push(await packSegment(bytes, word, kernels));
    if (prediction === undefined) continue;
    const difference = new Uint8Array(length);
    kernels.combineWords(bytes, (await prediction.read(start, length)).bytes, -1, word, difference);
    differences.push(await packSegment(difference, word, kernels));
  }
  const size = (segments: readonly Segment[]): number =>
    segments.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
  const isPredicted = prediction !== undefined && size(differences) < size(plain);
  const predict: Prediction = isPredicted ? prediction.kind : 'none';
  const segments = isPredicted ? differences : plain;
  const encodings = segments.map(({ encoding }) => encoding);
  return {
    codec: bytesCodec.id,
    params: { predict, word, segment: SEGMENT_BYTE_LENGTH, encodings },
    chunks: segments.map(({ bytes }) => ({ bytes, squaredErrorDrop: 0 })),
  };
}

async function packSegment(bytes: Uint8Array, word: number, kernels: Kernels): Promise<Segment> {
  const planes = new Uint8Array(bytes.byteLength);
  kernels.splitPlanes(bytes, word, planes);
  const deflated = await deflateRaw(planes);
  return deflated.byteLength < bytes.byteLength
    ? { bytes: deflated, encoding: 'deflate-raw' }
    : { bytes: planes, encoding: 'stored' };
}

export const bytesCodec: Codec = {
  id: 'bytes',
  async open(context): Promise<ExactDecoder> {
    const predict = choiceParam(context, 'predict', PREDICTIONS);
    const word = integerParam(context, 'word', 1, 8);
    const segmentByteLength = integerParam(context, 'segment', 1, LARGEST_SEGMENT_BYTE_LENGTH);
    const { rowCount, rowByteLength, kernels } = context;
    const byteLength = rowCount * rowByteLength;
    if (
      !WORD_BYTE_LENGTHS.some((width) => width === word) ||
      segmentByteLength % word !== 0 ||
      rowByteLength % word !== 0
    ) {
      throw codecError(
        context,
        `words of ${word} bytes do not divide segments of ${segmentByteLength} and rows of ${rowByteLength} bytes`,
      );
    }
    const segments = Math.ceil(byteLength / segmentByteLength);
    expectChunks(context, segments);
    const encodings = readEncodings(context, segments);

    let current: { readonly segment: number; readonly bytes: Uint8Array } | undefined;
    const readSegment = async (segment: number): Promise<Uint8Array> => {
      if (current?.segment === segment) return current.bytes;
      const chunk = await context.chunk(segment);
      const length = Math.min(segmentByteLength, byteLength - segment * segmentByteLength);
      if (chunk === undefined)
        throw codecError(context, `segment ${segment} lies behind the cut of the archive`);
      const planes =
        encodings[segment] === 'stored'
          ? chunk
          : await inflateRaw(chunk, length, {
              format: 'ere',
              file: context.subject,
              part: `segment ${segment}`,
            });
      expectByteLength(context, segment, planes, length);
      const bytes = new Uint8Array(length);
      kernels.joinPlanes(planes, word, bytes);
      current = { segment, bytes };
      return bytes;
    };

    return {
      kind: 'exact',
      prediction: predict,
      isSequential: false,
      async decode(start, prediction, out) {
        const end = start + out.byteLength;
        for (let position = start; position < end; ) {
          const segment = Math.floor(position / segmentByteLength);
          const bytes = await readSegment(segment);
          const first = position - segment * segmentByteLength;
          const count = Math.min(end - position, bytes.byteLength - first);
          out.set(bytes.subarray(first, first + count), position - start);
          position += count;
        }
        if (prediction !== undefined) kernels.combineWords(out, prediction.bytes, 1, word, out);
      },
      close: () => {
        current = undefined;
      },
    };
  },
};

function readEncodings(context: TermContext, segments: number): readonly string[] {
  const value = context.term.params.encodings;
  const valid =
    Array.isArray(value) && value.length === segments && value.every((item) => ENCODINGS.includes(item));
  if (!valid)
    throw codecError(context, `parameter "encodings": expected ${segments} of ${ENCODINGS.join(', ')}`);
  return value;
}

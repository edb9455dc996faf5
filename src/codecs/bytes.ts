/**
 * Codec "bytes" (docs/spec/codecs.md §4): rows stored exactly, as they are or as the wrapping
 * difference of little-endian words to the base, split into byte planes and deflated.
 */
import { deflateRaw, inflateRaw } from '../../formats/deflate.js';
import type { Codec, EncodedTerm, ExactDecoder, TermContext } from './codec.js';
import { choiceParam, codecError, expectByteLength, expectChunks, integerParam } from './params.js';

/** Bytes in a segment before compression; the unit of random access. */
const SEGMENT_BYTE_LENGTH = 4 << 20;

/** A segment is held in memory, like the chunk that stores it (LIMITS.chunkByteLength). */
const LARGEST_SEGMENT_BYTE_LENGTH = 2 ** 28;

/** Word widths that have byte planes; 1 leaves the bytes in order. */
const WORD_BYTE_LENGTHS = [1, 2, 4, 8] as const;

const ENCODINGS = ['stored', 'deflate-raw'] as const;

/** Gathers byte p of every word into plane p. The length is a multiple of the word's. */
function splitPlanes(bytes: Uint8Array, wordByteLength: number): Uint8Array {
  if (wordByteLength === 1) return bytes;
  const planes = new Uint8Array(bytes.byteLength);
  const words = bytes.byteLength / wordByteLength;
  for (let p = 0; p < wordByteLength; p++) {
    for (let i = 0; i < words; i++) planes[p * words + i] = bytes[i * wordByteLength + p]!;
  }
  return planes;
}

function joinPlanes(planes: Uint8Array, wordByteLength: number, out: Uint8Array): void {
  const words = planes.byteLength / wordByteLength;
  for (let p = 0; p < wordByteLength; p++) {
    for (let i = 0; i < words; i++) out[i * wordByteLength + p] = planes[p * words + i]!;
  }
}

/** out = x ± y on little-endian words, wrapping. `sign` is 1 or −1. */
function combineWords(
  x: Uint8Array,
  y: Uint8Array,
  sign: 1 | -1,
  wordByteLength: number,
  out: Uint8Array,
): void {
  for (let start = 0; start < x.byteLength; start += wordByteLength) {
    let carry = 0;
    for (let p = 0; p < wordByteLength; p++) {
      const sum = x[start + p]! + sign * y[start + p]! + carry;
      out[start + p] = sum & 255;
      carry = sum >> 8; // −1, 0 or 1
    }
  }
}

/** Reads the term's bytes at a byte range; called in ascending order. */
export type ReadBytes = (byteOffset: number, byteLength: number) => Promise<Uint8Array>;

/**
 * Encodes `byteLength` bytes exactly. With `readBase` (the base's bytes of the same rows, same
 * dtype) every segment takes whichever of difference and plain is smaller over the whole term.
 * @param elementByteLength bytes of one element, or 1 for packed types
 */
export async function encodeBytes(
  read: ReadBytes,
  readBase: ReadBytes | undefined,
  byteLength: number,
  elementByteLength: number,
): Promise<EncodedTerm> {
  const word = WORD_BYTE_LENGTHS.find((width) => width === elementByteLength) ?? 1;
  const plain = await encodeSegments(read, undefined, byteLength, word);
  const difference =
    readBase === undefined ? undefined : await encodeSegments(read, readBase, byteLength, word);
  const size = (term: EncodedTerm): number =>
    term.chunks.reduce((sum, chunk) => sum + chunk.bytes.byteLength, 0);
  return difference !== undefined && size(difference) < size(plain) ? difference : plain;
}

async function encodeSegments(
  read: ReadBytes,
  readBase: ReadBytes | undefined,
  byteLength: number,
  word: number,
): Promise<EncodedTerm> {
  const chunks: { bytes: Uint8Array; squaredErrorDrop: number }[] = [];
  const encodings: string[] = [];
  for (let start = 0; start < byteLength; start += SEGMENT_BYTE_LENGTH) {
    const length = Math.min(SEGMENT_BYTE_LENGTH, byteLength - start);
    let bytes = await read(start, length);
    if (readBase !== undefined) {
      const difference = new Uint8Array(length);
      combineWords(bytes, await readBase(start, length), -1, word, difference);
      bytes = difference;
    }
    const planes = splitPlanes(bytes, word);
    const deflated = await deflateRaw(planes);
    const smaller = deflated.byteLength < length;
    encodings.push(smaller ? 'deflate-raw' : 'stored');
    chunks.push({ bytes: smaller ? deflated : planes.slice(), squaredErrorDrop: 0 });
  }
  const predict = readBase === undefined ? 'none' : 'base';
  return { codec: bytesCodec.id, params: { predict, word, segment: SEGMENT_BYTE_LENGTH, encodings }, chunks };
}

export const bytesCodec: Codec = {
  id: 'bytes',
  async open(context): Promise<ExactDecoder> {
    const predict = choiceParam(context, 'predict', ['none', 'base']);
    const word = integerParam(context, 'word', 1, 8);
    const segmentByteLength = integerParam(context, 'segment', 1, LARGEST_SEGMENT_BYTE_LENGTH);
    const { rowCount, rowByteLength } = context;
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
      joinPlanes(planes, word, bytes);
      current = { segment, bytes };
      return bytes;
    };

    return {
      kind: 'exact',
      needsBase: predict === 'base',
      async decode(start, base, out) {
        const end = start + out.byteLength;
        for (let position = start; position < end; ) {
          const segment = Math.floor(position / segmentByteLength);
          const bytes = await readSegment(segment);
          const first = position - segment * segmentByteLength;
          const count = Math.min(end - position, bytes.byteLength - first);
          out.set(bytes.subarray(first, first + count), position - start);
          position += count;
        }
        if (predict === 'base') combineWords(out.slice(), base!, 1, word, out);
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

/** A sketch from its bytes, of which nothing is trusted (docs/spec/sketch.md). */
import { crc32, formatCrc32 } from '../crc32.js';
import { inflateRaw } from '../deflate.js';
import { type Dtype, elementCount, isDtype } from '../dtype.js';
import { isDigest } from '../ere/digest.js';
import { JsonCursor } from '../ere/json-cursor.js';
import { FormatError, IntegrityError, LimitError, UnsupportedError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { type Sketch, type SketchedTensor, sampleCount } from './sketch.js';
import {
  fromPlanes,
  HEAD_BYTE_LENGTH,
  SKETCH_ENCODINGS,
  SKETCH_MAGIC,
  SKETCH_VERSION,
  VERSION_OFFSET,
} from './sketch-file.js';

/**
 * Takes the whole file.
 * @param file name of the sketch, for messages
 * @throws FormatError on broken rules; UnsupportedError for another version or encoding; LimitError over
 * LIMITS.sketchByteLength or LIMITS.sketchDeflateRatio; IntegrityError where the checksum is wrong
 */
export async function parseSketch(bytes: Uint8Array, file: string): Promise<Sketch> {
  const head = parseHead(bytes, file);
  const stored = bytes.subarray(HEAD_BYTE_LENGTH);
  if (crc32(stored) !== head.crc32) {
    throw new IntegrityError(
      `${file}, sketch`,
      `CRC-32 ${formatCrc32(head.crc32)}`,
      formatCrc32(crc32(stored)),
      'the file is damaged: make the sketch again',
    );
  }
  const byteLength = head.jsonByteLength + 4 * head.sampleCount;
  const isStored = SKETCH_ENCODINGS[head.encoding] === 'stored';
  if (isStored && stored.byteLength !== byteLength) {
    fail(file, `expected a body of ${byteLength} bytes, found ${stored.byteLength}`);
  }
  const body = isStored
    ? stored
    : await inflateRaw(stored, byteLength, { format: 'ere-sketch', file, part: 'body' });
  const json = parseJson(body.subarray(0, head.jsonByteLength), file);
  const samples = fromPlanes(body.subarray(head.jsonByteLength));
  return { tensors: parseTensors(new JsonCursor(json, file, 'sketch'), samples) };
}

interface Head {
  readonly encoding: number;
  readonly jsonByteLength: number;
  readonly sampleCount: number;
  readonly crc32: number;
}

function parseHead(bytes: Uint8Array, file: string): Head {
  const isSketch = SKETCH_MAGIC.every((byte, i) => i === VERSION_OFFSET || bytes[i] === byte);
  if (!isSketch) fail(file, 'not a sketch: it does not begin with its magic');
  if (bytes[VERSION_OFFSET] !== SKETCH_MAGIC[VERSION_OFFSET]) {
    const version = `sketch version ${JSON.stringify(String.fromCharCode(bytes[VERSION_OFFSET]!))}`;
    throw new UnsupportedError(version, `${file}: ${version}; this build reads version ${SKETCH_VERSION}`);
  }
  if (bytes.byteLength < HEAD_BYTE_LENGTH) {
    fail(file, `truncated: expected a head of ${HEAD_BYTE_LENGTH} bytes, found ${bytes.byteLength}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEAD_BYTE_LENGTH);
  const [encoding, jsonByteLength, samples, storedByteLength, crc] = [8, 12, 16, 20, 24].map((offset) =>
    view.getUint32(offset, true),
  ) as [number, number, number, number, number];
  if (SKETCH_ENCODINGS[encoding] === undefined) {
    const feature = `sketch encoding ${encoding}`;
    throw new UnsupportedError(feature, `${file}: ${feature} is not known to this build`);
  }
  if (bytes.byteLength - HEAD_BYTE_LENGTH !== storedByteLength) {
    fail(file, `expected ${HEAD_BYTE_LENGTH + storedByteLength} bytes, found ${bytes.byteLength}`);
  }
  assertLimits({ byteLength: jsonByteLength + 4 * samples, storedByteLength }, file);
  return { encoding, jsonByteLength, sampleCount: samples, crc32: crc };
}

function assertLimits(
  { byteLength, storedByteLength }: { readonly byteLength: number; readonly storedByteLength: number },
  file: string,
): void {
  const limit = Math.min(LIMITS.sketchByteLength, LIMITS.sketchDeflateRatio * storedByteLength);
  if (byteLength <= limit) return;
  throw new LimitError(
    `${file}: a sketch of ${byteLength} bytes from ${storedByteLength} stored ones, over ${limit}`,
    limit,
    byteLength,
  );
}

function parseJson(bytes: Uint8Array, file: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw new FormatError('ere-sketch', 'expected JSON in UTF-8', { file, cause });
  }
}

function parseTensors(sketch: JsonCursor, samples: Float32Array): Map<string, SketchedTensor> {
  const tensors = new Map<string, SketchedTensor>();
  let used = 0;
  sketch.field('tensors').items((item) => {
    const name = item.field('name').string();
    if (tensors.has(name)) item.field('name').fail('a name that no other tensor has');
    const layout = { dtype: parseDtype(item.field('dtype')), shape: parseShape(item.field('shape')) };
    const count = sampleCount(layout);
    if (used + count > samples.length) item.fail(`samples of at most ${samples.length} elements`, 'more');
    const digest = item.optional('digest');
    tensors.set(name, {
      ...layout,
      ...(digest === undefined ? {} : { digest: parseDigest(digest) }),
      samples: samples.slice(used, used + count),
    });
    used += count;
  });
  if (used !== samples.length) sketch.fail(`tensors with ${samples.length} samples`, `${used}`);
  return tensors;
}

function parseDtype(cursor: JsonCursor): Dtype {
  const dtype = cursor.string();
  return isDtype(dtype) ? dtype : cursor.fail('a dtype');
}

function parseShape(cursor: JsonCursor): number[] {
  const shape = cursor.integers();
  if (shape.length > LIMITS.dimensions) cursor.fail(`at most ${LIMITS.dimensions} dimensions`);
  try {
    elementCount(shape);
  } catch {
    cursor.fail('a shape of at most 2^53 elements');
  }
  return shape;
}

function parseDigest(cursor: JsonCursor): `sha256:${string}` {
  const { value } = cursor;
  return isDigest(value) ? value : cursor.fail('a digest sha256:…');
}

function fail(file: string, message: string): never {
  throw new FormatError('ere-sketch', message, { file });
}

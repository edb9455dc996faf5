/**
 * The header of a safetensors file: u64 little-endian length N, then N bytes of JSON, then the tensor data
 * (https://github.com/huggingface/safetensors, README "Format" and safetensors/src/tensor.rs).
 * Invariant: a header that parses describes its file completely. Its tensors, in order of their offsets, tile the
 * data section without holes or overlaps, every length follows from dtype and shape, and the file ends with the
 * last tensor. Stricter than the reference (0.8.0) in six points, most of them ways to hide something: repeated tensor
 * names and metadata keys, unknown fields of a tensor, a null `__metadata__`, white space before the '{' and over 64
 * dimensions are refused.
 */
import { DTYPES, type Dtype, isDtype, tensorByteLength } from '../dtype.js';
import { FormatError, quoteName, UnsupportedError } from '../errors.js';
import { JsonScanner } from '../json-scanner.js';
import { LIMITS } from '../limits.js';

/** Bytes of the length prefix. */
export const SAFETENSORS_PREFIX_BYTE_LENGTH = 8;
/** The key that holds metadata instead of a tensor. */
export const SAFETENSORS_METADATA_KEY = '__metadata__';

/** 'version ' opens the text that Git LFS leaves in place of a file; as a length it would be over any limit. */
const GIT_LFS_POINTER = [0x76, 0x65, 0x72, 0x73, 0x69, 0x6f, 0x6e, 0x20];

/** What a header says of one tensor. */
export interface SafetensorsTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Bytes [begin, end) of the data section, which starts behind the header. */
  readonly dataOffsets: readonly [begin: number, end: number];
}

export interface SafetensorsHeader {
  /** Bytes before the data section: length prefix, JSON and its padding. */
  readonly byteLength: number;
  /** In the order of their data; tensors without elements before the one that starts at the same offset. */
  readonly tensors: readonly SafetensorsTensor[];
  /** In the order of the header; undefined where there is none. */
  readonly metadata: ReadonlyMap<string, string> | undefined;
}

export interface ParseHeaderOptions {
  /** Name of the file, for messages. */
  readonly file: string;
  /** Length of the whole file; default: that of the bytes given. */
  readonly fileByteLength?: number;
}

/**
 * Reads the length prefix from the first 8 bytes of a file.
 * @returns bytes of the JSON behind the prefix; always inside the file.
 * @throws FormatError
 */
export function parseSafetensorsPrefix(bytes: Uint8Array, options: ParseHeaderOptions): number {
  const { file, fileByteLength = bytes.byteLength } = options;
  if (Math.min(bytes.byteLength, fileByteLength) < SAFETENSORS_PREFIX_BYTE_LENGTH) {
    throw headerError(
      file,
      0,
      `a safetensors file has at least an 8-byte length, this one has ${fileByteLength} bytes`,
    );
  }
  if (GIT_LFS_POINTER.every((byte, i) => bytes[i] === byte)) {
    throw headerError(file, 0, 'this is a Git LFS pointer, not the file it stands for; run `git lfs pull`');
  }
  const claimed = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (claimed > BigInt(LIMITS.safetensorsHeaderByteLength)) {
    const limit = LIMITS.safetensorsHeaderByteLength;
    throw headerError(
      file,
      0,
      `header length ${claimed} is over the format's ${limit} bytes; is this a safetensors file?`,
    );
  }
  const byteLength = Number(claimed);
  const available = fileByteLength - SAFETENSORS_PREFIX_BYTE_LENGTH;
  if (byteLength > available) {
    throw headerError(
      file,
      0,
      `header of ${byteLength} bytes does not fit, only ${available} follow; is the file cut off?`,
    );
  }
  return byteLength;
}

/**
 * Parses a header from the start of a file: from all of its bytes, or from the first ones with `fileByteLength`.
 * @throws FormatError naming file, tensor and the rule that is broken
 * @throws UnsupportedError on a dtype that formats/dtype.ts does not list
 */
export function parseSafetensorsHeader(bytes: Uint8Array, options: ParseHeaderOptions): SafetensorsHeader {
  const { file, fileByteLength = bytes.byteLength } = options;
  const byteLength = SAFETENSORS_PREFIX_BYTE_LENGTH + parseSafetensorsPrefix(bytes, { file, fileByteLength });
  if (byteLength > bytes.byteLength) {
    throw headerError(file, 0, `header takes ${byteLength} bytes, only ${bytes.byteLength} were given`);
  }
  const json = bytes.subarray(SAFETENSORS_PREFIX_BYTE_LENGTH, byteLength);
  if (json[0] !== 0x7b)
    throw headerError(file, SAFETENSORS_PREFIX_BYTE_LENGTH, "header does not begin with '{'");

  const scanner = new JsonScanner(json, {
    format: 'safetensors',
    file,
    byteOffset: SAFETENSORS_PREFIX_BYTE_LENGTH,
  });
  const tensors: SafetensorsTensor[] = [];
  let metadata: Map<string, string> | undefined;
  scanner.object('the header', (name) => {
    if (name === SAFETENSORS_METADATA_KEY) {
      metadata = scanMetadata(scanner);
    } else {
      scanner.tensor = name;
      tensors.push(scanTensor(scanner, file, name));
      scanner.tensor = undefined;
    }
  });
  scanner.end('the header');

  // Stable, so that empty tensors at one offset keep the order of the header.
  tensors.sort((a, b) => a.dataOffsets[0] - b.dataOffsets[0] || a.dataOffsets[1] - b.dataOffsets[1]);
  assertTiled(tensors, file, fileByteLength - byteLength);
  return { byteLength, tensors, metadata };
}

function scanMetadata(scanner: JsonScanner): Map<string, string> {
  const metadata = new Map<string, string>();
  scanner.object(SAFETENSORS_METADATA_KEY, (key) => {
    metadata.set(key, scanner.string(`${SAFETENSORS_METADATA_KEY} value of ${quoteName(key)}`));
  });
  return metadata;
}

function scanTensor(scanner: JsonScanner, file: string, name: string): SafetensorsTensor {
  const position = scanner.mark();
  let dtype: Dtype | undefined;
  let shape: number[] | undefined;
  let dataOffsets: [number, number] | undefined;
  scanner.object('the tensor', (field, fieldPosition) => {
    if (field === 'dtype') dtype = scanDtype(scanner, file, name);
    else if (field === 'shape') shape = scanShape(scanner);
    else if (field === 'data_offsets') dataOffsets = scanOffsets(scanner);
    else throw scanner.error(`unknown field ${quoteName(field)}`, fieldPosition);
  });
  if (dtype === undefined) throw scanner.error('dtype is missing', position);
  if (shape === undefined) throw scanner.error('shape is missing', position);
  if (dataOffsets === undefined) throw scanner.error('data_offsets is missing', position);

  const expected = checkedByteLength(scanner, position, dtype, shape);
  const [begin, end] = dataOffsets;
  if (begin > end) throw scanner.error(`data_offsets [${begin}, ${end}] end before they begin`, position);
  if (end - begin !== expected) {
    const found = `data_offsets [${begin}, ${end}] span ${end - begin}`;
    throw scanner.error(`${dtype} [${shape.join(', ')}] takes ${expected} bytes, ${found}`, position);
  }
  return { name, dtype, shape, dataOffsets };
}

function scanDtype(scanner: JsonScanner, file: string, name: string): Dtype {
  const dtype = scanner.string('dtype');
  if (isDtype(dtype)) return dtype;
  const known = Object.keys(DTYPES).join(', ');
  throw new UnsupportedError(
    `safetensors dtype ${quoteName(dtype)}`,
    `${file}, tensor ${quoteName(name)}: unknown dtype ${quoteName(dtype)}; this version knows ${known}`,
  );
}

function scanShape(scanner: JsonScanner): number[] {
  const shape: number[] = [];
  scanner.array('shape', (index) => {
    if (index === LIMITS.dimensions) throw scanner.error(`shape has over ${LIMITS.dimensions} dimensions`);
    shape.push(scanner.unsignedInteger(`shape[${index}]`));
  });
  return shape;
}

function scanOffsets(scanner: JsonScanner): [number, number] {
  const offsets: number[] = [];
  const position = scanner.mark();
  scanner.array('data_offsets', (index) => {
    if (index === 2) throw scanner.error('data_offsets has over two numbers', position);
    offsets.push(scanner.unsignedInteger(`data_offsets[${index}]`));
  });
  const [begin, end] = offsets;
  if (begin === undefined || end === undefined)
    throw scanner.error('data_offsets has under two numbers', position);
  return [begin, end];
}

/** Byte length of a tensor; no partial product may overflow, as in the reference. */
function checkedByteLength(
  scanner: JsonScanner,
  position: number,
  dtype: Dtype,
  shape: readonly number[],
): number {
  let count = 1;
  for (const dimension of shape) {
    count *= dimension;
    if (!Number.isSafeInteger(count)) throw scanner.error(`shape [${shape.join(', ')}] overflows`, position);
  }
  const byteLength = tensorByteLength(dtype, shape);
  if (byteLength === undefined) {
    const bits = DTYPES[dtype].bits;
    throw scanner.error(`${count} elements of ${bits} bits (${dtype}) do not fill whole bytes`, position);
  }
  return byteLength;
}

/** @throws FormatError unless the tensors, sorted by offset, tile [0, dataByteLength). */
function assertTiled(tensors: readonly SafetensorsTensor[], file: string, dataByteLength: number): void {
  let end = 0;
  let previous = '';
  for (const { name, dataOffsets } of tensors) {
    const details = { file, tensor: name };
    const [begin, nextEnd] = dataOffsets;
    if (begin > end) {
      throw new FormatError(
        'safetensors',
        `bytes ${end} to ${begin} of the data belong to no tensor`,
        details,
      );
    }
    if (begin < end) {
      const other = quoteName(previous);
      throw new FormatError(
        'safetensors',
        `data begins at ${begin}, inside tensor ${other} that ends at ${end}`,
        details,
      );
    }
    if (nextEnd > dataByteLength) {
      const found = `the file has ${dataByteLength} bytes of data; is it cut off?`;
      throw new FormatError('safetensors', `data ends at ${nextEnd}, ${found}`, details);
    }
    end = nextEnd;
    previous = name;
  }
  if (end !== dataByteLength) {
    const found = `the file has ${dataByteLength} bytes of data`;
    throw new FormatError('safetensors', `the last tensor ends at ${end}, ${found}`, { file });
  }
}

function headerError(file: string, offset: number, message: string): FormatError {
  return new FormatError('safetensors', message, { file, offset });
}

/**
 * Writes safetensors headers as the reference does (safetensors/src/tensor.rs `prepare`): compact JSON, metadata
 * first, then the tensors in the order of their data, padded with spaces so that the data starts at a multiple of 8.
 * The same tensors and metadata always give the same bytes. Unlike the reference it does not reorder tensors;
 * `referenceTensorOrder` gives that order.
 */
import { DTYPES, type Dtype, tensorByteLength } from '../dtype.js';
import { FormatError, LimitError, quoteName } from '../errors.js';
import { LIMITS } from '../limits.js';
import {
  SAFETENSORS_METADATA_KEY,
  SAFETENSORS_PREFIX_BYTE_LENGTH,
  type SafetensorsHeader,
} from './parse-header.js';

/** What a writer has to know of a tensor. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/** A range of bytes in the file. */
export interface ByteRange {
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** The reference aligns the data section to the widest element. */
const ALIGNMENT = 8;
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * Serialises the header of a file whose data section holds `tensors` back to back, in the given order.
 * @param metadata written in its own order; left out when undefined.
 * @returns length prefix, JSON and padding.
 * @throws FormatError on a name that the format cannot hold, or bits that do not fill whole bytes
 * @throws LimitError over the format's 100 MB
 */
export function serializeSafetensorsHeader(
  tensors: readonly TensorSpec[],
  metadata?: ReadonlyMap<string, string>,
): Uint8Array<ArrayBuffer> {
  const members: string[] = [];
  if (metadata !== undefined) {
    const entries = [...metadata].map(([key, value]) => `${quote(key)}:${quote(value)}`);
    members.push(`"${SAFETENSORS_METADATA_KEY}":{${entries.join(',')}}`);
  }
  const names = new Set<string>();
  let begin = 0;
  for (const { name, dtype, shape } of tensors) {
    assertName(name, names);
    names.add(name);
    const end = begin + specByteLength({ name, dtype, shape });
    members.push(
      `${quote(name)}:{"dtype":"${dtype}","shape":[${shape.join(',')}],"data_offsets":[${begin},${end}]}`,
    );
    begin = end;
  }
  const json = new TextEncoder().encode(`{${members.join(',')}}`);
  const jsonByteLength = Math.ceil(json.byteLength / ALIGNMENT) * ALIGNMENT;
  if (jsonByteLength > LIMITS.safetensorsHeaderByteLength) {
    const limit = LIMITS.safetensorsHeaderByteLength;
    throw new LimitError(
      `safetensors header of ${jsonByteLength} bytes is over ${limit}`,
      limit,
      jsonByteLength,
    );
  }
  const header = new Uint8Array(SAFETENSORS_PREFIX_BYTE_LENGTH + jsonByteLength).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(jsonByteLength), true);
  header.set(json, SAFETENSORS_PREFIX_BYTE_LENGTH);
  return header;
}

/** Where the data of each tensor lies in the file, by name, in order of the data. */
export function safetensorsByteRanges(header: SafetensorsHeader): Map<string, ByteRange> {
  return new Map(
    header.tensors.map(({ name, dataOffsets: [begin, end] }) => [
      name,
      { byteOffset: header.byteLength + begin, byteLength: end - begin },
    ]),
  );
}

/**
 * The order in which the reference writer lays tensors out: dtypes from the last of `DTYPES` to the first (widest
 * alignment first), then names by their UTF-8 bytes.
 */
export function referenceTensorOrder<T extends TensorSpec>(tensors: readonly T[]): T[] {
  const dtypes = Object.keys(DTYPES);
  const encoder = new TextEncoder();
  return tensors
    .map((tensor) => ({ tensor, dtype: dtypes.indexOf(tensor.dtype), name: encoder.encode(tensor.name) }))
    .sort((a, b) => b.dtype - a.dtype || compareBytes(a.name, b.name))
    .map(({ tensor }) => tensor);
}

function specByteLength({ name, dtype, shape }: TensorSpec): number {
  const valid = shape.length <= LIMITS.dimensions && shape.every((n) => Number.isSafeInteger(n) && n >= 0);
  const byteLength = valid ? tensorByteLength(dtype, shape) : undefined;
  if (byteLength !== undefined) return byteLength;
  throw new FormatError('safetensors', `${dtype} [${shape.join(', ')}] does not fill whole bytes`, {
    tensor: name,
  });
}

function assertName(name: string, taken: ReadonlySet<string>): void {
  const broken =
    name === SAFETENSORS_METADATA_KEY
      ? 'the name is reserved for metadata'
      : taken.has(name)
        ? 'the name is there twice'
        : undefined;
  if (broken !== undefined) throw new FormatError('safetensors', broken, { tensor: name });
}

/** JSON.stringify escapes what serde_json escapes, in the same spelling; it differs on lone surrogates only. */
function quote(text: string): string {
  if (LONE_SURROGATE.test(text)) {
    throw new FormatError('safetensors', `${quoteName(text)} is not well-formed Unicode`);
  }
  return JSON.stringify(text);
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    if (a[i] !== b[i]) return a[i] - b[i];
  }
  return a.length - b.length;
}

/** Byte-level builders of safetensors files, well-formed and not. */
import { type Dtype, tensorByteLength } from '../../formats/dtype.js';
import { serializeSafetensorsHeader } from '../../formats/safetensors/serialize-header.js';

export interface RawSafetensors {
  /** JSON text as is, bytes, or a value to stringify. */
  readonly header: string | Uint8Array | object;
  /** Bytes of data behind the header; a number gives that many bytes 0, 1, 2, … */
  readonly data?: Uint8Array | number;
  /** Length to write in place of the header's. */
  readonly claimedLength?: bigint;
}

/** u64 header length · header · data. */
export function rawSafetensors({ header, data = 0, claimedLength }: RawSafetensors): Uint8Array {
  const json =
    header instanceof Uint8Array
      ? header
      : new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const dataBytes = typeof data === 'number' ? countingBytes(data) : data;
  const bytes = new Uint8Array(8 + json.byteLength + dataBytes.byteLength);
  new DataView(bytes.buffer).setBigUint64(0, claimedLength ?? BigInt(json.byteLength), true);
  bytes.set(json, 8);
  bytes.set(dataBytes, 8 + json.byteLength);
  return bytes;
}

export interface TensorToWrite {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Default: bytes 0, 1, 2, … */
  readonly data?: Uint8Array;
}

/** A well-formed file, through the writer. */
export function safetensorsBytes(
  tensors: readonly TensorToWrite[],
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const map = metadata === undefined ? undefined : new Map(Object.entries(metadata));
  const parts = [
    serializeSafetensorsHeader(tensors, map),
    ...tensors.map(({ dtype, shape, data }) => data ?? countingBytes(tensorByteLength(dtype, shape) ?? 0)),
  ];
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.byteLength;
  }
  return bytes;
}

/** Bytes 0, 1, 2, …, 255, 0, … */
export function countingBytes(byteLength: number): Uint8Array {
  return Uint8Array.from({ length: byteLength }, (_, i) => i);
}

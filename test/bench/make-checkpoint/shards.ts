/** Which tensor lies where: the files of a sharded checkpoint, as huggingface_hub's `split_state_dict` cuts them. */
import { tensorByteLength } from '../../../formats/dtype.js';
import { serializeSafetensorsHeader } from '../../../formats/safetensors/serialize-header.js';
import { serializeShardIndex } from '../../../formats/safetensors/shard-index.js';
import type { TensorSpec } from './tensors.js';

export interface Shard {
  readonly path: string;
  readonly header: Uint8Array;
  readonly byteLength: number;
  readonly tensors: readonly PlacedTensor[];
}

export interface PlacedTensor extends TensorSpec {
  /** Of its first byte, in the shard. */
  readonly byteOffset: number;
}

const METADATA = new Map([['format', 'pt']]);
/** A header's prefix, metadata and padding. */
const HEADER_BYTE_LENGTH = 64;
/** What a header has to say of a tensor besides its name, all numbers at their longest. */
const ENTRY_BYTE_LENGTH = 120;

/**
 * Fills one shard after the other, in the order of the tensors. A file is at most `shardByteLength` long unless a
 * single tensor is longer.
 */
export function shardsOf(tensors: readonly TensorSpec[], shardByteLength: number): Shard[] {
  const groups: TensorSpec[][] = [];
  let filled = Number.POSITIVE_INFINITY;
  for (const tensor of tensors) {
    const byteLength = bf16ByteLength(tensor) + tensor.name.length + ENTRY_BYTE_LENGTH;
    if (filled + byteLength > shardByteLength) {
      groups.push([]);
      filled = HEADER_BYTE_LENGTH;
    }
    groups.at(-1)!.push(tensor);
    filled += byteLength;
  }
  return groups.map((group, index) => place(group, shardName(index, groups.length)));
}

function place(tensors: readonly TensorSpec[], path: string): Shard {
  const header = serializeSafetensorsHeader(
    tensors.map(({ name, shape }) => ({ name, dtype: 'BF16', shape })),
    METADATA,
  );
  let end = header.byteLength;
  const placed = tensors.map((tensor) => {
    const byteOffset = end;
    end += bf16ByteLength(tensor);
    return { ...tensor, byteOffset };
  });
  return { path, header, byteLength: end, tensors: placed };
}

function shardName(index: number, count: number): string {
  if (count === 1) return 'model.safetensors';
  const number = (value: number) => String(value).padStart(5, '0');
  return `model-${number(index + 1)}-of-${number(count)}.safetensors`;
}

/** The index of the shards; a single file has none. */
export function shardIndexOf(shards: readonly Shard[]): Uint8Array | undefined {
  if (shards.length === 1) return undefined;
  const entries = shards.flatMap(({ path, tensors }) => tensors.map(({ name }) => [name, path] as const));
  const totalSize = shards.reduce((sum, { byteLength, header }) => sum + byteLength - header.byteLength, 0);
  return serializeShardIndex({
    weightMap: new Map(entries),
    metadata: new Map([['total_size', totalSize]]),
  });
}

function bf16ByteLength({ shape }: TensorSpec): number {
  return tensorByteLength('BF16', shape)!;
}

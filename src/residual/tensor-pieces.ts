/** The bytes of one tensor, piece after piece: what encoders read a reconstruction with. */
import type { PredictedRows } from '../codecs/codec.js';
import { BlockRooms } from './decode-tensor.js';
import type { ReadTensor } from './runtime.js';
import { type OpenTensorInput, openTensorDecoder } from './tensor-decoder.js';

export interface TensorPiecesInput extends Omit<OpenTensorInput, 'hasBase'> {
  /** Absent for added tensors. Called in ascending order, for every byte at most once. */
  readonly readBase?: ReadTensor;
  /** Give computed rows with their float32 values where these say more; default false. */
  readonly withValues?: boolean;
  /** Memory for pieces and what they are decoded from, used again from tensor to tensor; default: new memory. */
  readonly rooms?: BlockRooms;
}

/** Bytes of the tensor; valid until the next piece is asked for. */
export interface TensorPiece extends PredictedRows {
  readonly byteOffset: number;
}

/**
 * Decodes a tensor in ascending order, without gaps.
 * @throws CodecError, UnsupportedError
 */
export async function* tensorPieces(input: TensorPiecesInput): AsyncGenerator<TensorPiece, void, void> {
  const { readBase, withValues, rooms = new BlockRooms() } = input;
  const decoder = await openTensorDecoder({ ...input, hasBase: readBase !== undefined });
  try {
    for (const block of decoder.blocks) {
      const { byteOffset, byteLength, baseOffset, baseLength } = block;
      const base =
        baseLength === 0
          ? new Uint8Array(0)
          : await readBase!(baseOffset, baseLength, rooms.room(0, baseLength));
      const out = rooms.room(1, byteLength);
      yield { byteOffset, ...(await decoder.decode(block, base, out, withValues)) };
    }
  } finally {
    decoder.close();
  }
}

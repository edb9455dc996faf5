/**
 * A tensor as some of its terms give it, read like a file: what exact terms on top of lossy ones are coded
 * against. One block is held at a time; going back starts the decoder anew.
 */
import type { ReadBytes } from '../codecs/codec.js';
import { readBaseRows } from './decode-tensor.js';
import { blockRows, type ReadTensor } from './runtime.js';
import { openTensorDecoder, type TensorDecoder, type TensorDecoderInput } from './tensor-decoder.js';

export interface Reconstruction {
  /** Bytes of the tensor; cheap in ascending order. */
  readonly read: ReadBytes;
  close(): void;
}

interface Block {
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array;
}

const NO_BLOCK: Block = { start: 0, end: 0, bytes: new Uint8Array(0) };

/** @param readBase absent for an added tensor */
export function openReconstruction(
  input: TensorDecoderInput,
  readBase: ReadTensor | undefined,
): Reconstruction {
  let decoder: TensorDecoder | undefined;
  let block = NO_BLOCK;

  const blockAt = async (byteOffset: number): Promise<Block> => {
    if (decoder === undefined || byteOffset < block.start * decoder.rowByteLength) {
      decoder?.close();
      decoder = await openTensorDecoder(input);
      block = NO_BLOCK;
    }
    const row = Math.floor(byteOffset / decoder.rowByteLength);
    if (row < block.end) return block;
    const step = blockRows(decoder.columns);
    const start = row - (row % step);
    const end = Math.min(decoder.rowCount, start + step);
    const bytes = await decoder.decodeRows(start, end, await readBaseRows(decoder, readBase, start, end));
    block = { start, end, bytes };
    return block;
  };

  return {
    async read(byteOffset, byteLength) {
      const out = new Uint8Array(byteLength);
      for (let done = 0; done < byteLength; ) {
        const { start, bytes } = await blockAt(byteOffset + done);
        const first = byteOffset + done - start * decoder!.rowByteLength;
        const piece = bytes.subarray(first, first + byteLength - done);
        out.set(piece, done);
        done += piece.byteLength;
      }
      return out;
    },
    close: () => decoder?.close(),
  };
}

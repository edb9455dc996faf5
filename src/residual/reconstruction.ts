/**
 * A tensor as some of its terms give it, read like a file: what exact terms on top of lossy ones are coded
 * against. One piece is held at a time; going back starts the decoder anew.
 */
import type { ReadBytes } from '../codecs/codec.js';
import { type TensorPiece, type TensorPiecesInput, tensorPieces } from './tensor-pieces.js';

export interface Reconstruction {
  /** Bytes of the tensor; cheap in ascending order. */
  readonly read: ReadBytes;
  close(): Promise<void>;
}

const NO_PIECE: TensorPiece = { byteOffset: 0, bytes: new Uint8Array(0) };

export function openReconstruction(input: TensorPiecesInput): Reconstruction {
  let pieces: ReturnType<typeof tensorPieces> | undefined;
  let piece = NO_PIECE;

  const close = async (): Promise<void> => {
    await pieces?.return();
    pieces = undefined;
    piece = NO_PIECE;
  };

  /** The piece that holds a byte. */
  const pieceAt = async (byteOffset: number): Promise<TensorPiece> => {
    if (byteOffset < piece.byteOffset) await close();
    pieces ??= tensorPieces(input);
    while (byteOffset >= piece.byteOffset + piece.bytes.byteLength) {
      const next = await pieces.next();
      if (next.done) throw new RangeError(`expected an offset inside the tensor, got ${byteOffset}`);
      piece = next.value;
    }
    return piece;
  };

  return {
    async read(byteOffset, byteLength) {
      const out = new Uint8Array(byteLength);
      for (let done = 0; done < byteLength; ) {
        const { byteOffset: start, bytes } = await pieceAt(byteOffset + done);
        const first = byteOffset + done - start;
        const part = bytes.subarray(first, first + byteLength - done);
        out.set(part, done);
        done += part.byteLength;
      }
      return out;
    },
    close,
  };
}

/**
 * A tensor as some of its terms give it, read like a file: what exact terms on top of lossy ones are coded
 * against. One piece is held at a time; going back starts the decoder anew.
 */
import { DTYPES, type FloatDtype } from '../../formats/dtype.js';
import type { ReadPrediction } from '../codecs/codec.js';
import { type TensorPiece, type TensorPiecesInput, tensorPieces } from './tensor-pieces.js';

export interface Reconstruction {
  /** Bytes of the tensor, with values where they are whole elements; cheap in ascending order. */
  readonly read: ReadPrediction;
  /** The same without values. @param room memory of that length that the result is put into */
  readBytes(byteOffset: number, byteLength: number, room?: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

const NO_PIECE: TensorPiece = { byteOffset: 0, bytes: new Uint8Array(0) };

/** @param input `withValues` false where only `readBytes` will be called; default true */
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
    pieces ??= tensorPieces({ withValues: true, ...input });
    while (byteOffset >= piece.byteOffset + piece.bytes.byteLength) {
      const next = await pieces.next();
      if (next.done) throw new RangeError(`expected an offset inside the tensor, got ${byteOffset}`);
      piece = next.value;
    }
    return piece;
  };

  /** Rows that are not computed are their own values. */
  const widen = (bytes: Uint8Array, values: Float32Array): void => {
    input.runtime.kernels.toFloat32(input.tensor.dtype as FloatDtype, bytes, values);
  };

  return {
    async read(byteOffset, byteLength) {
      const bytes = new Uint8Array(byteLength);
      const elementByteLength = DTYPES[input.tensor.dtype].bits / 8;
      const isWhole = byteOffset % elementByteLength === 0 && byteLength % elementByteLength === 0;
      let values: Float32Array | undefined;
      for (let done = 0; done < byteLength; ) {
        const current = await pieceAt(byteOffset + done);
        const first = byteOffset + done - current.byteOffset;
        const part = current.bytes.subarray(first, first + byteLength - done);
        const start = done / elementByteLength;
        if (isWhole && current.values !== undefined && values === undefined) {
          values = new Float32Array(byteLength / elementByteLength);
          widen(bytes.subarray(0, done), values.subarray(0, start));
        }
        bytes.set(part, done);
        done += part.byteLength;
        if (values === undefined) continue;
        const from = first / elementByteLength;
        const place = values.subarray(start, done / elementByteLength);
        if (current.values === undefined) widen(part, place);
        else place.set(current.values.subarray(from, from + place.length));
      }
      return { bytes, values };
    },
    async readBytes(byteOffset, byteLength, room = new Uint8Array(byteLength)) {
      for (let done = 0; done < byteLength; ) {
        const { byteOffset: start, bytes } = await pieceAt(byteOffset + done);
        const first = byteOffset + done - start;
        const part = bytes.subarray(first, first + byteLength - done);
        room.set(part, done);
        done += part.byteLength;
      }
      return room;
    },
    close,
  };
}

/** In which order a tensor is decoded: ranges of its base, and the blocks that are made of them. */
import { PIECE_BYTE_LENGTH } from '../codecs/codec.js';
import type { Block, TensorDecoder } from './tensor-decoder.js';

/** A range of the base, and the block that is decoded from it, if any. */
export interface Step {
  readonly baseOffset: number;
  readonly baseLength: number;
  readonly block: Block | undefined;
}

/** Every byte of the base once, in order, those that no block needs as well. */
export function* stepsOf({
  blocks,
  baseByteLength,
}: Pick<TensorDecoder, 'blocks' | 'baseByteLength'>): Generator<Step, void, void> {
  let position = 0;
  const skipTo = function* (end: number): Generator<Step, void, void> {
    while (position < end) {
      const baseLength = Math.min(PIECE_BYTE_LENGTH, end - position);
      yield { baseOffset: position, baseLength, block: undefined };
      position += baseLength;
    }
  };
  for (const block of blocks) {
    if (block.baseLength > 0) yield* skipTo(block.baseOffset);
    yield { baseOffset: position, baseLength: block.baseLength, block };
    position += block.baseLength;
  }
  yield* skipTo(baseByteLength);
}

/** The bytes of the base that blocks need. */
export function* blockSteps({ blocks }: Pick<TensorDecoder, 'blocks'>): Generator<Step, void, void> {
  for (const block of blocks) yield { baseOffset: block.baseOffset, baseLength: block.baseLength, block };
}

/**
 * Codec "coded-dense" (docs/spec/codecs.md §7): R̂_ij = f32(s · f32(q_ij)), q entropy-coded by
 * the matrix coder in half steps. What has no low-rank structure is cheaper this way than as factors.
 * One chunk a block of rows; the coder's models carry on from block to block.
 */
import type { AdditiveDecoder, Codec, EncodedTerm } from './codec.js';
import { TRELLIS_STATES, type TrellisStates } from './coded-low-rank.js';
import { denseBlocks } from './dense-blocks.js';
import { choiceParam, float32Param, integerParam } from './params.js';

/** Term from the chunks of a matrix coder. */
export function codedDenseTerm(
  chunks: EncodedTerm['chunks'],
  scale: number,
  states: TrellisStates,
  blockRows: number,
): EncodedTerm {
  return { codec: codedDenseCodec.id, params: { scale, states, blockRows }, chunks };
}

export const codedDenseCodec: Codec = {
  id: 'coded-dense',
  async open(context): Promise<AdditiveDecoder> {
    const { columns, kernels } = context;
    const scale = float32Param(context, 'scale');
    const states = choiceParam(context, 'states', TRELLIS_STATES);
    const blockRows = integerParam(context, 'blockRows', 1, 2 ** 31 - 1);
    return denseBlocks(context, () => kernels.createMatrixDecoder({ columns, states }), scale, blockRows);
  },
};

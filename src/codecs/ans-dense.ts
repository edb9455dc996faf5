/**
 * Codec "ans-dense" (docs/spec/codecs.md §11): as "coded-dense", with the ANS coder, which decodes about three times as fast.
 */
import type { AdditiveDecoder, Codec, EncodedTerm } from './codec.js';
import { denseBlocks } from './dense-blocks.js';
import { float32Param, integerParam } from './params.js';

/** Term from the chunks of an ANS coder. */
export function ansDenseTerm(chunks: EncodedTerm['chunks'], scale: number, blockRows: number): EncodedTerm {
  return { codec: ansDenseCodec.id, params: { scale, blockRows }, chunks };
}

export const ansDenseCodec: Codec = {
  id: 'ans-dense',
  async open(context): Promise<AdditiveDecoder> {
    const scale = float32Param(context, 'scale');
    const blockRows = integerParam(context, 'blockRows', 1, 2 ** 31 - 1);
    return denseBlocks(context, () => context.kernels.createAnsDecoder(context.columns), scale, blockRows);
  },
};

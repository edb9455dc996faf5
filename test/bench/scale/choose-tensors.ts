/**
 * Which tensors are taken out of an archive alone: a norm, which costs what any run does, and matrices of two sizes.
 * All of them from layers: embeddings are of another kind, most of their rows are the base's.
 */

export interface ChosenTensor {
  readonly name: string;
  /** Decoded; equal to that of the base's tensor, which decoding reads. */
  readonly byteLength: number;
  /** In the archive. */
  readonly payloadByteLength: number;
}

interface Candidate {
  readonly name: string;
  readonly byteLength: number;
  readonly fineTunedByteLength: number;
}

const LAYER = /\.layers\.\d+\./;

/** The smallest tensor of the layers, one of the middle size of all sizes there are, and the largest. */
export function chooseTensors(all: readonly Candidate[]): ChosenTensor[] {
  const tensors = all.filter(({ name }) => LAYER.test(name));
  const sizes = [...new Set(tensors.map(({ fineTunedByteLength }) => fineTunedByteLength))];
  sizes.sort((x, y) => x - y);
  const chosen = new Set([sizes[0], sizes[sizes.length >> 1], sizes.at(-1)]);
  return [...chosen].flatMap((size) => {
    const tensor = tensors.find(({ fineTunedByteLength }) => fineTunedByteLength === size);
    return tensor === undefined
      ? []
      : [{ name: tensor.name, byteLength: tensor.fineTunedByteLength, payloadByteLength: tensor.byteLength }];
  });
}

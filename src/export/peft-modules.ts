/** Which tensors of an archive a PEFT adapter can hold, from the index alone. */
import type { ArchiveIndex, ArchiveTensor } from '../../formats/ere/archive-index.js';
import type { AdapterModule } from '../../formats/peft/adapter.js';
import { intervalSmallCodec } from '../codecs/interval-small.js';
import { lowRankCodec } from '../codecs/low-rank.js';

/**
 * A tensor of the archive whose whole residual is a low-rank product, its first term. Behind it may stand the small
 * weights that such a product cannot say to within their own unit: an adapter adds to other bits there anyway.
 */
export interface ExportedTensor {
  readonly tensor: ArchiveTensor;
  readonly module: AdapterModule;
}

/** Something that the archive changes and an adapter cannot. */
export interface DroppedTensor {
  readonly name: string;
  /** One clause, without a full stop. */
  readonly reason: string;
}

const WEIGHT_SUFFIX = '.weight';

/** Last parts of names under which models keep their embeddings; torch.nn.Embedding has no other mark in a checkpoint. */
const EMBEDDING_NAMES: ReadonlySet<string> = new Set([
  'embed_tokens',
  'tok_embeddings',
  'word_embeddings',
  'position_embeddings',
  'token_type_embeddings',
  'embed_positions',
  'embed_in',
  'wte',
  'wpe',
  'shared',
]);

/** Tensors that equal the base's appear in neither list. */
export function splitForPeft(index: ArchiveIndex): {
  readonly exported: readonly ExportedTensor[];
  readonly dropped: readonly DroppedTensor[];
} {
  const exported: ExportedTensor[] = [];
  const dropped: DroppedTensor[] = [];
  for (const tensor of index.tensors) {
    if (tensor.base !== undefined && tensor.terms.length === 0 && tensor.base.dtype === undefined) continue;
    const reason = whyNot(tensor);
    if (reason === undefined) exported.push({ tensor, module: moduleOf(tensor) });
    else dropped.push({ name: tensor.name, reason });
  }
  for (const name of index.removed) {
    dropped.push({ name, reason: 'the fine-tune does not have it, and an adapter removes nothing' });
  }
  return { exported, dropped };
}

function whyNot({ name, base, shape, columns, terms }: ArchiveTensor): string | undefined {
  if (base === undefined) return 'the base has no such tensor';
  if (base.shape !== undefined) return `the base has another shape, [${base.shape.join(', ')}]`;
  if (base.name !== undefined && base.name !== name) return `the base calls it ${base.name}`;
  const products = terms.filter((term) => term.codec === lowRankCodec.id);
  const other = terms.find(({ codec }) => codec !== lowRankCodec.id && codec !== intervalSmallCodec.id);
  if (other !== undefined) return `stored by codec ${other.codec}, not as a low-rank product`;
  if (products.length !== 1 || terms[0] !== products[0]) {
    return products.length === 0 ? 'stored in another dtype' : 'more than one low-rank product';
  }
  if (shape.length !== 2 || columns !== shape[1] || !name.endsWith(WEIGHT_SUFFIX)) {
    return 'not the weight of a linear layer or an embedding';
  }
  return undefined;
}

function moduleOf({ name, shape, terms }: ArchiveTensor): AdapterModule {
  const module = name.slice(0, -WEIGHT_SUFFIX.length);
  const bands = terms[0]!.params.bands;
  return {
    name: module,
    kind: EMBEDDING_NAMES.has(module.slice(module.lastIndexOf('.') + 1)) ? 'embedding' : 'linear',
    rows: shape[0]!,
    columns: shape[1]!,
    rank: Array.isArray(bands) ? bands.reduce((sum: number, size: unknown) => sum + Number(size), 0) : 0,
  };
}

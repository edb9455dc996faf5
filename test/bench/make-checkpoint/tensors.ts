/** The tensors of a Llama checkpoint, named and ordered as transformers writes them. */
import { keyValueSize, type ModelShape } from './model-shape.js';

/** How a tensor's values, and their change by fine-tuning, are made; see tensor-rows.ts. */
export type TensorKind = 'matrix' | 'embedding' | 'norm';

export interface TensorSpec {
  readonly name: string;
  readonly kind: TensorKind;
  readonly shape: readonly number[];
}

export function tensorsOf(model: ModelShape): TensorSpec[] {
  const { hiddenSize, intermediateSize, layerCount, vocabularySize } = model;
  const matrix = (name: string, rows: number, columns: number): TensorSpec => ({
    name: `${name}.weight`,
    kind: 'matrix',
    shape: [rows, columns],
  });
  const norm = (name: string): TensorSpec => ({ name: `${name}.weight`, kind: 'norm', shape: [hiddenSize] });
  const layers = Array.from({ length: layerCount }, (_, index) => {
    const layer = `model.layers.${index}`;
    return [
      norm(`${layer}.input_layernorm`),
      matrix(`${layer}.mlp.down_proj`, hiddenSize, intermediateSize),
      matrix(`${layer}.mlp.gate_proj`, intermediateSize, hiddenSize),
      matrix(`${layer}.mlp.up_proj`, intermediateSize, hiddenSize),
      norm(`${layer}.post_attention_layernorm`),
      matrix(`${layer}.self_attn.k_proj`, keyValueSize(model), hiddenSize),
      matrix(`${layer}.self_attn.o_proj`, hiddenSize, hiddenSize),
      matrix(`${layer}.self_attn.q_proj`, hiddenSize, hiddenSize),
      matrix(`${layer}.self_attn.v_proj`, keyValueSize(model), hiddenSize),
    ];
  });
  return [
    { ...matrix('model.embed_tokens', vocabularySize, hiddenSize), kind: 'embedding' },
    ...layers.flat(),
    norm('model.norm'),
    matrix('lm_head', vocabularySize, hiddenSize),
  ];
}

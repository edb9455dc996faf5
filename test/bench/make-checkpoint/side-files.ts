/** What lies beside the weights of a Llama: config.json and generation_config.json. */
import type { ModelShape } from './model-shape.js';

/** File name → content. Both checkpoints have the same. */
export function sideFilesOf(model: ModelShape): Map<string, Uint8Array> {
  const tokens = { bos_token_id: 1, eos_token_id: 2 };
  const config = {
    architectures: ['LlamaForCausalLM'],
    attention_bias: false,
    ...tokens,
    head_dim: model.hiddenSize / model.headCount,
    hidden_act: 'silu',
    hidden_size: model.hiddenSize,
    initializer_range: 0.02,
    intermediate_size: model.intermediateSize,
    max_position_embeddings: 4096,
    mlp_bias: false,
    model_type: 'llama',
    num_attention_heads: model.headCount,
    num_hidden_layers: model.layerCount,
    num_key_value_heads: model.keyValueHeadCount,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    tie_word_embeddings: false,
    torch_dtype: 'bfloat16',
    vocab_size: model.vocabularySize,
  };
  return new Map([
    ['config.json', json(config)],
    ['generation_config.json', json(tokens)],
  ]);
}

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, undefined, 2)}\n`);
}

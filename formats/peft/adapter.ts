/**
 * A LoRA adapter as PEFT stores it (huggingface/peft, `save_pretrained` and `LoraConfig`): one safetensors
 * file with two factors a module, and adapter_config.json. W = W_base + (alpha / r) · B·A, with
 * lora_A: r × in and lora_B: out × r; alpha = r here, so that the factors hold the whole update.
 */
import { compareCodePoints } from '../compare-code-points.js';
import type { Dtype } from '../dtype.js';
import { referenceTensorOrder, type TensorSpec } from '../safetensors/serialize-header.js';

export const ADAPTER_WEIGHTS_FILE = 'adapter_model.safetensors';
export const ADAPTER_CONFIG_FILE = 'adapter_config.json';

/** A module with a low-rank update. */
export interface AdapterModule {
  /** Name in the base model: 'model.layers.0.self_attn.q_proj'. */
  readonly name: string;
  /** An embedding's factors have other names, and are those of the transposed weight. */
  readonly kind: 'linear' | 'embedding';
  /** Rows of the weight: out features, or the vocabulary. */
  readonly rows: number;
  /** Columns of the weight: in features, or the embedding's width. */
  readonly columns: number;
  readonly rank: number;
}

/** One factor of a module as a tensor of the file. */
export interface AdapterTensor extends TensorSpec {
  readonly module: AdapterModule;
  readonly factor: 'A' | 'B';
}

/** Every tensor of the adapter, in the order in which the reference writer lays them out. */
export function adapterTensors(modules: readonly AdapterModule[], dtype: Dtype): AdapterTensor[] {
  return referenceTensorOrder(modules.flatMap((module) => factorsOf(module, dtype)));
}

function factorsOf(module: AdapterModule, dtype: Dtype): AdapterTensor[] {
  const { name, kind, rows, columns, rank } = module;
  const isLinear = kind === 'linear';
  // PEFT holds the factors of an embedding as bare parameters, and transposes their product.
  const nameOf = (factor: 'A' | 'B'): string =>
    `base_model.model.${name}.${isLinear ? `lora_${factor}.weight` : `lora_embedding_${factor}`}`;
  const [into, out] = isLinear ? [columns, rows] : [rows, columns];
  return [
    { name: nameOf('A'), dtype, shape: [rank, into], module, factor: 'A' },
    { name: nameOf('B'), dtype, shape: [out, rank], module, factor: 'B' },
  ];
}

/**
 * adapter_config.json: r is the largest rank, rank_pattern and alpha_pattern name the modules that differ.
 * Modules are named in full, so that no other layer of the same short name gets an empty adapter.
 * @param baseModel what the user calls the base: a path or a repository
 */
export function serializeAdapterConfig(modules: readonly AdapterModule[], baseModel: string): string {
  const rank = modules.reduce((largest, module) => Math.max(largest, module.rank), 0);
  const sorted = [...modules].sort((x, y) => compareCodePoints(x.name, y.name));
  const pattern = Object.fromEntries(
    sorted.filter((module) => module.rank !== rank).map((module) => [module.name, module.rank]),
  );
  const config = {
    alpha_pattern: pattern,
    base_model_name_or_path: baseModel,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: rank,
    lora_dropout: 0,
    modules_to_save: null,
    peft_type: 'LORA',
    r: rank,
    rank_pattern: pattern,
    target_modules: sorted.map((module) => module.name),
    task_type: null,
    use_dora: false,
    use_rslora: false,
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

import { expect, test } from 'vitest';
import { type AdapterModule, adapterTensors, serializeAdapterConfig } from '../../../formats/peft/adapter.js';

const Q: AdapterModule = { name: 'model.layers.0.q_proj', kind: 'linear', rows: 8, columns: 6, rank: 4 };
const EMBEDDING: AdapterModule = {
  name: 'model.embed_tokens',
  kind: 'embedding',
  rows: 100,
  columns: 6,
  rank: 2,
};

test('a linear layer has lora_A of r × in and lora_B of out × r', () => {
  expect(adapterTensors([Q], 'F32')).toMatchObject([
    { name: 'base_model.model.model.layers.0.q_proj.lora_A.weight', shape: [4, 6], factor: 'A' },
    { name: 'base_model.model.model.layers.0.q_proj.lora_B.weight', shape: [8, 4], factor: 'B' },
  ]);
});

test('an embedding has bare parameters of the transposed product', () => {
  expect(adapterTensors([EMBEDDING], 'BF16')).toMatchObject([
    { name: 'base_model.model.model.embed_tokens.lora_embedding_A', shape: [2, 100], dtype: 'BF16' },
    { name: 'base_model.model.model.embed_tokens.lora_embedding_B', shape: [6, 2], dtype: 'BF16' },
  ]);
});

test('the configuration has one rank, and a pattern for modules that differ', () => {
  const config = JSON.parse(serializeAdapterConfig([Q, EMBEDDING], 'org/llama'));
  expect(config).toMatchObject({
    peft_type: 'LORA',
    base_model_name_or_path: 'org/llama',
    r: 4,
    lora_alpha: 4,
    rank_pattern: { 'model.embed_tokens': 2 },
    alpha_pattern: { 'model.embed_tokens': 2 },
    target_modules: ['model.embed_tokens', 'model.layers.0.q_proj'],
    use_rslora: false,
  });
  expect(JSON.parse(serializeAdapterConfig([Q], 'llama'))).toMatchObject({ rank_pattern: {}, r: 4 });
});

test('equal modules give equal bytes, in any order', () => {
  expect(serializeAdapterConfig([Q, EMBEDDING], 'x')).toBe(serializeAdapterConfig([EMBEDDING, Q], 'x'));
});

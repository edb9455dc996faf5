import { expect, it } from 'vitest';
import { inputGroups } from '../../src/residual/input-groups.js';

const weights = (parent: string, ...last: string[]): string[] =>
  last.map((part) => `${parent}.${part}.weight`);

it('finds query, key and value, and gate and up, of every layer', () => {
  const layers = ['model.layers.0', 'model.layers.1'];
  const groups = layers.flatMap((layer) => [
    weights(`${layer}.self_attn`, 'q_proj', 'k_proj', 'v_proj'),
    weights(`${layer}.mlp`, 'gate_proj', 'up_proj'),
  ]);
  const others = layers.flatMap((layer) => [
    `${layer}.self_attn.o_proj.weight`,
    `${layer}.mlp.down_proj.weight`,
    `${layer}.self_attn.q_proj.bias`,
  ]);
  expect(inputGroups(['model.embed_tokens.weight', ...others, ...groups.flat()])).toEqual(groups);
});

it('leaves queries of cross-attention out, whose input is another one', () => {
  const own = weights('decoder.block.0.layer.0.SelfAttention', 'q', 'k', 'v');
  const cross = weights('decoder.block.0.layer.1.EncDecAttention', 'q', 'k', 'v');
  expect(inputGroups([...own, ...cross])).toEqual([own, cross.slice(1)]);
});

it('keeps experts and modules of other names apart, and makes no group of one', () => {
  const experts = [0, 1].map((expert) => weights(`layers.0.experts.${expert}`, 'w1', 'w3'));
  expect(inputGroups([...experts.flat(), 'a.q.weight', 'b.k.weight', 'weight', 'x'])).toEqual(experts);
});

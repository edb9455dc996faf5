/** Which tensor of the base is which of the fine-tune, by names and shapes. */
import { describe, expect, it } from 'vitest';
import { matchNames, type TensorLayout } from '../../src/sketch/match-names.js';

type Layouts = ReadonlyMap<string, TensorLayout>;

/** Names and shapes of a small language model, every name with a prefix. */
function languageModel(prefix = '', layers = 3): Layouts {
  const blocks = Array.from({ length: layers }, (_, i) => [
    [`model.layers.${i}.q_proj.weight`, [64, 64]],
    [`model.layers.${i}.up_proj.weight`, [96, 64]],
    [`model.layers.${i}.norm.weight`, [64]],
  ]).flat();
  const all = [['model.embed_tokens.weight', [256, 64]], ...blocks, ['lm_head.weight', [256, 64]]];
  return layouts(all.map(([name, shape]) => [`${prefix}${name as string}`, shape as number[]]));
}

const layouts = (entries: readonly (readonly [string, readonly number[]])[]): Layouts =>
  new Map(entries.map(([name, shape]) => [name, { dtype: 'BF16', shape }]));

const renamed = (model: Layouts, from: string, to: string): Layouts =>
  new Map(
    [...model].map(([name, layout]) => [name.startsWith(from) ? to + name.slice(from.length) : name, layout]),
  );

describe('matchNames', () => {
  it('takes names as they are where they match', () => {
    const { baseNames, prefixChange } = matchNames(languageModel(), languageModel());
    expect(prefixChange).toBeUndefined();
    expect([...baseNames].every(([name, baseName]) => name === baseName)).toBe(true);
    expect(baseNames.size).toBe(11);
  });

  it.each([
    ['added', languageModel(), languageModel('language_model.'), { base: '', fineTuned: 'language_model.' }],
    ['removed', languageModel('transformer.'), languageModel(), { base: 'transformer.', fineTuned: '' }],
    ['changed', languageModel('a.b.'), languageModel('c.'), { base: 'a.b.', fineTuned: 'c.' }],
  ])('finds a prefix that was %s', (_, base, fineTuned, prefixChange) => {
    const match = matchNames(base, fineTuned);
    expect(match.prefixChange).toEqual(prefixChange);
    expect(match.baseNames.size).toBe(11);
    for (const [name, baseName] of match.baseNames) {
      expect(baseName).toBe(prefixChange.base + name.slice(prefixChange.fineTuned.length));
    }
  });

  it('leaves alone what matches as it is: only the backbone was renamed', () => {
    const fineTuned = renamed(languageModel(), 'model.', 'model.language_model.');
    const match = matchNames(languageModel(), fineTuned);
    expect(match.prefixChange).toEqual({ base: 'model.', fineTuned: 'model.language_model.' });
    expect(match.baseNames.get('lm_head.weight')).toBe('lm_head.weight');
    expect(match.baseNames.get('model.language_model.layers.2.norm.weight')).toBe(
      'model.layers.2.norm.weight',
    );
  });

  it('finds the language model inside a multimodal one with towers of like names', () => {
    const tower = layouts(
      Array.from({ length: 40 }, (_, i) => [`vision_tower.layers.${i}.q_proj.weight`, [64, 64]] as const),
    );
    const fineTuned = new Map([...tower, ...languageModel('language_model.')]);
    const match = matchNames(languageModel(), fineTuned);
    expect(match.prefixChange).toEqual({ base: '', fineTuned: 'language_model.' });
    expect([...match.baseNames.keys()].some((name) => name.startsWith('vision'))).toBe(false);
  });

  it('counts a resized tensor as the same', () => {
    const grown = new Map(
      [...languageModel('m.')].map(([name, layout]) => [
        name,
        name.includes('embed') || name.includes('head') ? { ...layout, shape: [260, 64] } : layout,
      ]),
    );
    expect(matchNames(languageModel(), grown).baseNames.size).toBe(11);
  });

  it('gives no prefix change to a few new tensors of like names', () => {
    const base = new Map([...languageModel(), ...layouts([['cls.dense.weight', [64, 64]]])]);
    const fineTuned = new Map([...languageModel(), ...layouts([['classifier.dense.weight', [64, 64]]])]);
    const match = matchNames(base, fineTuned);
    expect(match.prefixChange).toBeUndefined();
    expect(match.baseNames.has('classifier.dense.weight')).toBe(false);
  });

  it('matches nothing where shapes differ, and nothing with nothing', () => {
    const wider = new Map(
      [...languageModel('x.')].map(([name, layout]) => [name, { ...layout, shape: [...layout.shape, 2] }]),
    );
    expect(matchNames(languageModel(), wider)).toEqual({ baseNames: new Map(), prefixChange: undefined });
    expect(matchNames(new Map(), languageModel()).baseNames.size).toBe(0);
    expect(matchNames(languageModel(), new Map()).baseNames.size).toBe(0);
  });

  it('takes every base tensor once', () => {
    const fineTuned = new Map([...languageModel('a.'), ...languageModel('b.')]);
    const used = [...matchNames(languageModel(), fineTuned).baseNames.values()];
    expect(new Set(used).size).toBe(used.length);
    expect(used.length).toBe(11);
  });

  it('takes no time to speak of on 10,000 tensors', () => {
    const started = performance.now();
    const match = matchNames(languageModel('', 3000), languageModel('language_model.', 3000));
    expect(match.baseNames.size).toBe(9002);
    expect(performance.now() - started).toBeLessThan(3000);
  });
});

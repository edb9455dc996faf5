import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type ModelCardFacts, modelCard } from '../../src/hub/model-card.js';
import { encode, inspect } from '../../src/index.js';
import { matrixPair, modelPair, withModels } from '../helpers/models.js';

async function withFacts(use: (facts: ModelCardFacts) => void | Promise<void>): Promise<void> {
  await withModels(modelPair([matrixPair('a|<b>.weight', [64, 48], 1)]), async (base, tuned, folder) => {
    const output = join(folder, 'a.ere');
    await encode(tuned, { base, output, lossless: true });
    const { index, tensors, byteLength } = await inspect(output);
    await use({
      repo: 'user/tuned',
      path: 'model.ere',
      archiveByteLength: byteLength,
      fineTunedByteLength: 12_000,
      relativeError: 0,
      base: { name: 'org/base', revision: 'c'.repeat(40) },
      index,
      tensors,
      ownCard: undefined,
    });
  });
}

test('the card links the base, states size, loss and digests, and says how to rebuild', async () => {
  await withFacts((facts) => {
    const card = modelCard(facts);
    expect(card).toMatch(
      /^---\nbase_model: org\/base\nbase_model_relation: finetune\nlibrary_name: ere\ntags:\n- ere\n- residual\n---\n\n# user\/tuned\n/,
    );
    expect(card).toContain(`${facts.archiveByteLength} bytes`);
    expect(card).toContain('none: bit for bit');
    expect(card).toContain(facts.index.decoded.digest);
    expect(card).toContain('npx ere pull user/tuned -o model\n');
    expect(modelCard({ ...facts, path: 'x/y.ere', relativeError: 0.5 })).toMatch(
      /--file x\/y\.ere[\s\S]*relative error 0\.500 of the residual, kept energy 75\.0 %/,
    );
  });
});

test('names of tensors cannot end a cell or begin markup', async () => {
  await withFacts((facts) => {
    expect(modelCard(facts)).toContain('| `a&#124;&#60;b&#62;.weight` |');
  });
});

test("the fine-tune's own card follows: its tags join ours, what we say ourselves is not said twice", async () => {
  await withFacts((facts) => {
    const ownCard =
      '---\r\nlicense: mit\r\nbase_model:\r\n- x/y\r\ntags: [code, "text: no", ere]\r\nmodel-index:\r\n- name: z\r\n---\r\nIts text.\r\n';
    const card = modelCard({ ...facts, ownCard });
    const front = card.slice(0, card.indexOf('\n---\n', 4));
    expect(front).toContain('tags:\n- ere\n- residual\n- code\nlicense: mit\nmodel-index:\n- name: z');
    expect(front).not.toContain('x/y');
    expect(card.trimEnd().endsWith('## Model card of the fine-tune\n\nIts text.')).toBe(true);
    expect(modelCard({ ...facts, ownCard: 'No front matter.' })).toContain('No front matter.');
  });
});

import { expect, test } from 'vitest';
import type { ExportLoraOptions, ExportLoraReport } from '../../src/export/peft.js';
import { runWith } from './doubles.js';

const REPORT: ExportLoraReport = {
  output: 'adapter',
  files: ['adapter_model.safetensors', 'adapter_config.json'],
  byteLength: 1_234_000,
  modules: [
    { name: 'model.layers.0.q_proj', rank: 16 },
    { name: 'model.layers.1.q_proj', rank: 8 },
  ],
  dropped: [{ name: 'model.norm.weight', reason: 'stored by codec bytes, not as a low-rank product' }],
  durationMs: 300,
};
const ARGUMENTS = ['export-lora', 'tuned.ere', '-o', 'adapter'];

test('passes its options on, and says what was written and what was dropped', async () => {
  let seen: ExportLoraOptions | undefined;
  const exportLora = async (archive: string, options: ExportLoraOptions) => {
    expect(archive).toBe('tuned.ere');
    seen = options;
    return REPORT;
  };
  const flags = '--base llama --base-model org/llama --dtype bf16 --drop --overwrite'.split(' ');
  const { status, stdout, stderr } = await runWith([...ARGUMENTS, ...flags], { exportLora });
  expect(status).toBe(0);
  expect(seen).toMatchObject({
    output: 'adapter',
    base: 'llama',
    baseModel: 'org/llama',
    dtype: 'BF16',
    drop: true,
    overwrite: true,
  });
  expect(stdout).toBe('adapter: 2 modules, rank 8–16, 1.23 MB, 300 ms\n');
  expect(stderr).toBe('dropped: model.norm.weight: stored by codec bytes, not as a low-rank product\n');
});

test('options that were not given are absent', async () => {
  const exportLora = async (_: string, options: ExportLoraOptions) => {
    expect(Object.keys(options).sort()).toEqual(['output', 'signal']);
    return REPORT;
  };
  expect((await runWith(ARGUMENTS, { exportLora })).status).toBe(0);
});

test('--json is the report', async () => {
  const { stdout, stderr } = await runWith([...ARGUMENTS, '--json'], { exportLora: async () => REPORT });
  expect(JSON.parse(stdout)).toEqual(REPORT);
  expect(stderr).toBe('');
});

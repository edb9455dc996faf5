import { describe, expect, test } from 'vitest';
import { NotFoundError } from '../../formats/errors.js';
import type { DiffOptions, DiffReport } from '../../src/residual/diff-report.js';
import { diffReport, runWith } from './doubles.js';
import { runWithStore, storeDiffReport } from './store-doubles.js';

const ARGUMENTS = ['diff', 'llama', 'tuned'];

/** The options that a command line turns into. */
async function optionsOf(...flags: string[]): Promise<DiffOptions> {
  let seen: DiffOptions | undefined;
  const { status } = await runWith([...ARGUMENTS, '--quiet', ...flags], {
    diff: async (fineTuned, options) => {
      expect(fineTuned).toBe('tuned');
      seen = options;
      return diffReport();
    },
  });
  expect(status).toBe(0);
  return seen!;
}

/** What is printed of a report that differs from the double's in some fields. */
async function outputOf(fields: Partial<DiffReport>, ...flags: string[]) {
  return runWith([...ARGUMENTS, ...flags], { diff: async () => diffReport(fields) });
}

describe('ere diff: options', () => {
  test('without options, the library sets its defaults', async () => {
    const options = await optionsOf();
    expect(options).toMatchObject({ base: 'llama' });
    for (const name of ['budgets', 'threads', 'kernels', 'maxRank']) expect(options).not.toHaveProperty(name);
    expect(options.signal).toBeInstanceOf(AbortSignal);
  });

  test('--ratio is a list of shares', async () => {
    expect((await optionsOf('--ratio', '1%,0.06', '--threads', '2')).budgets).toEqual([
      { kind: 'ratio', ratio: 0.01 },
      { kind: 'ratio', ratio: 0.06 },
    ]);
    expect(await optionsOf('--threads', '2')).toMatchObject({ threads: 2 });
  });

  test('--device is one of those that the help lists', async () => {
    expect(await optionsOf('--device', 'webgpu')).toMatchObject({ device: 'webgpu' });
    const { status, stderr } = await runWith([...ARGUMENTS, '--device', 'tpu']);
    expect(status).toBe(2);
    expect(stderr).toContain('Allowed choices are cpu, webgpu, cuda');
  });

  test.each(['', '6', '1%,', '0%', '1%;2%'])('--ratio %j is a usage error', async (ratio) => {
    const { status, stderr } = await runWith([...ARGUMENTS, '--ratio', ratio]);
    expect(status).toBe(2);
    expect(stderr).toContain('Expected a share over 0');
  });

  test('both checkpoints are needed', async () => {
    expect((await runWith(['diff', 'llama'])).stderr).toContain('finetuned');
  });
});

describe('ere diff: output', () => {
  test('totals, spectra by group, what differs, and estimates that are named as such', async () => {
    const { status, stdout, stderr } = await outputOf({});
    expect(status).toBe(0);
    expect(stdout).toBe(
      [
        'tuned: 3 tensors, 9.91 MB; 3 changed, 1 added, 1 removed, 18.3 % of the elements unchanged, relative residual 0.134',
        '',
        'tensor                             case      count  shape    unchanged  relative residual   top 1   top 8  top 32  effective rank',
        'model.layers.*.mlp.up_proj.weight  residual      2  704×256      2.5 %        0.117–0.225  17.5 %  35.0 %  65.0 %         9.5–186',
        'model.norm.weight                  vector        1  256         50.0 %             0.0133       –       –       –               –',
        '',
        'tensors that the base does not have (1): adapter.weight',
        'tensors of the base that the fine-tune does not have (1): lm_head.weight',
        'files that differ from the base (1): config.json',
        'files of the base that the fine-tune does not have (1): merges.txt',
        'estimates from the leading singular values and a continuation of them, nothing was encoded:',
        'budget       archive  share  relative error  kept energy',
        'ratio 1.0 %   150 kB  1.5 %            1.00          0 %  out of reach: the least that an archive takes',
        'ratio 6.0 %   594 kB  6.0 %           0.440       80.6 %',
        '',
        'matrix products by wasm, 1.3 s',
        '',
      ].join('\n'),
    );
    expect(stderr).toBe('');
  });

  test('what speaks against the base is a warning on stderr', async () => {
    const { status, stderr } = await outputOf({ mismatches: ['llama does not look like the base'] });
    expect(status).toBe(0);
    expect(stderr).toBe('warning: llama does not look like the base\n');
  });

  test('a tensor whose shape cannot be used is listed once, with both shapes', async () => {
    const conflict = 'adapter.weight: base [2,3], fine-tuned [3,2]';
    const { stdout } = await outputOf({ shapeConflicts: [conflict] });
    expect(stdout).toContain(`shapes that cannot be compared (1): ${conflict}\n`);
    expect(stdout).not.toContain('tensors that the base does not have');
  });

  test('--all lists every tensor', async () => {
    const { stdout } = await outputOf({}, '--all');
    expect(stdout).toContain('model.layers.0.mlp.up_proj.weight');
    expect(stdout).toContain('model.layers.1.mlp.up_proj.weight');
  });

  test('--quiet is one line', async () => {
    const { stdout } = await outputOf({ added: [], removed: [] }, '--quiet');
    expect(stdout).toBe(
      'tuned: 3 tensors, 9.91 MB; 3 changed, 18.3 % of the elements unchanged, relative residual 0.134\n',
    );
  });

  test('--json is one document on stdout, and nothing on stderr', async () => {
    const { stdout, stderr } = await outputOf({ warnings: ['slow'] }, '--json');
    expect(JSON.parse(stdout)).toEqual(diffReport({ warnings: ['slow'] }));
    expect(stderr).toBe('');
  });

  test('escape sequences in names never reach the terminal', async () => {
    const evil = '\u001b]0;owned\u0007\u202e';
    const { stdout, stderr } = await outputOf({
      tensors: [{ ...diffReport().tensors[0]!, name: evil }],
      added: [evil],
      removed: [evil],
      shapeConflicts: [`${evil}: base [1], fine-tuned [2]`],
      sideFiles: [{ path: evil, status: 'changed' }],
      mismatches: [evil],
    });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
    expect(stdout + stderr).not.toMatch(/[\u001b\u0007\u202e]/);
  });
});

describe('ere diff of versions', () => {
  const diff = async () => storeDiffReport();
  const checkpoints = { diff: async () => diffReport() };

  test('prints which tensors changed, how far, in how many directions, and the text of files', async () => {
    expect((await runWithStore(['diff', 'chat~1', 'chat'], { diff })).stdout).toBe(
      [
        'chat 81b05e5e → chat 3f2a5e5e: 4 of 57 tensors changed, 1 added, 2 files changed',
        '',
        'tensor                             count  relative change   top 1   top 8  rank',
        'model.layers.*.mlp.up_proj.weight      2    0.0117–0.0225  10.0 %  30.0 %    98',
        'model.norm.weight                      1          0.00133       –       –     –',
        'token.counts                           1                –       –       –     –',
        '',
        'added tensors (1): adapter.weight',
        'changed file: config.json',
        '--- config.json',
        '+++ config.json',
        '@@ -1,1 +1,1 @@',
        '-{"rope": 1}',
        '+{"rope": 2}',
        'removed file: merges.txt',
        '',
      ].join('\n'),
    );
  });

  test('--all lists each tensor, --quiet is one line, --json the report', async () => {
    const argv = ['diff', 'chat~1', 'chat'];
    expect((await runWithStore([...argv, '--all'], { diff })).stdout).toContain('model.layers.1.');
    expect((await runWithStore([...argv, '--quiet'], { diff })).stdout.split('\n')).toHaveLength(2);
    expect(JSON.parse((await runWithStore([...argv, '--json'], { diff })).stdout)).toEqual(storeDiffReport());
  });

  test('two paths that exist are checkpoints, unless --store says that they are refs', async () => {
    const pathExists = async () => true;
    const paths = await runWithStore(['diff', 'a', 'b', '--quiet'], {}, {}, { ...checkpoints, pathExists });
    expect([paths.status, paths.opened]).toEqual([0, []]);
    const refs = await runWithStore(['diff', 'a', 'b', '--store', '/s'], { diff }, {}, { pathExists });
    expect([refs.status, refs.opened]).toEqual([0, ['/s']]);
  });

  test('where one path does not exist they are refs, if there is a store to look in', async () => {
    const pathExists = async (path: string) => path === 'chat';
    const inStore = await runWithStore(['diff', 'chat', 'chat~1'], { diff }, {}, { pathExists });
    expect(inStore.opened).toEqual(['/work/.ere-store']);
    const outside = { ...checkpoints, pathExists, findStore: async () => undefined };
    expect((await runWithStore(['diff', 'chat', 'tuned', '--quiet'], {}, {}, outside)).opened).toEqual([]);
    const named = { environment: { ERE_STORE: '/s' } };
    expect((await runWithStore(['diff', 'x', 'y'], { diff }, named)).opened).toEqual(['/s']);
  });

  test('a ref that is none may be a mistyped path: the error says how it was taken', async () => {
    const failing = async () => {
      throw new NotFoundError('no version "tuend"');
    };
    const { status, stderr } = await runWithStore(['diff', 'llama', 'tuend'], { diff: failing });
    expect(status).toBe(10);
    expect(stderr).toContain("taken for versions, as not both 'llama' and 'tuend' are paths that exist");
    const told = await runWithStore(['diff', 'llama', 'tuend', '--store', '/s'], { diff: failing });
    expect(told.stderr).toBe('error: no version "tuend"\n');
  });

  test('options for checkpoints are usage errors', async () => {
    for (const flags of [
      ['--ratio', '1%'],
      ['--device', 'cuda'],
    ]) {
      const { status, stderr } = await runWithStore(['diff', 'chat~1', 'chat', ...flags]);
      expect(status).toBe(2);
      expect(stderr).toContain(flags[0]);
    }
  });
});

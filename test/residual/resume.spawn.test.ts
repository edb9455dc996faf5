/** A run that was killed goes on, and ends with the archive that it would have written; or with an error, never with another. */
import {
  access,
  appendFile,
  copyFile,
  mkdir,
  readFile,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EncodeOptions, encode, verify } from '../../src/index.js';
import { encodeJournaled } from '../../src/residual/encode.js';
import { runWith } from '../cli/doubles.js';
import {
  type EncodeChoices,
  floatTensor,
  modelPair,
  QUICK,
  writeModel,
  writePair,
} from '../helpers/models.js';
import { PROJECT_ROOT, spawnNode } from '../helpers/project.js';
import { listTree, withTempFolder } from '../helpers/temp-folder.js';
import { normalFloats } from '../kernels/samples.js';

type OneBase = EncodeOptions & { readonly base: string };

const CHILD = join(PROJECT_ROOT, 'dist/test/helpers/encode-until.js');
const SHAPE = [112, 96] as const;

/** A residual with more strong components than are looked for at first, and a bulk. */
function widePair(name: string, seed: number) {
  const [rows, columns] = SHAPE;
  const base = normalFloats(rows * columns, seed);
  const residual = normalFloats(rows * columns, seed + 1, 0.02);
  for (let k = 0; k < 48; k++) {
    const [u, v] = [normalFloats(rows, seed + 100 + k), normalFloats(columns, seed + 200 + k)];
    for (let at = 0; at < residual.length; at++) {
      residual[at]! += 0.96 ** k * u[Math.floor(at / columns)]! * v[at % columns]!;
    }
  }
  return {
    base: floatTensor(name, 'F32', SHAPE, base),
    fineTuned: floatTensor(
      name,
      'F32',
      SHAPE,
      base.map((value, at) => value + 0.02 * residual[at]!),
    ),
  };
}

/** The first three are encoded together, as they have the same inputs. */
const NAMES = [...['q', 'k', 'v'].map((kind) => `layers.0.self_attn.${kind}_proj.weight`), 'w3', 'w4', 'w5'];
const pairs = NAMES.map((name, i) => widePair(name, 1000 * i));

/** Runs `use` in a folder with both models. */
async function withModels(
  use: (folder: string, options: OneBase, fineTuned: string) => Promise<void>,
  choices: EncodeChoices = { budget: { kind: 'ratio', ratio: 0.12 } },
): Promise<void> {
  await withTempFolder(async (folder) => {
    const models = modelPair(pairs);
    const { base, fineTuned: tuned } = await writePair(folder, models);
    await mkdir(join(folder, 'out'));
    const options = { ...QUICK, ...choices, base, output: join(folder, 'out', 'a.ere') };
    await use(folder, options, tuned);
  });
}

/** The archive of a run that nothing interrupts. */
async function uninterrupted(folder: string, options: OneBase, fineTuned: string): Promise<Buffer> {
  const output = join(folder, 'whole.ere');
  await encode(fineTuned, { ...options, output });
  return readFile(output);
}

const run = (fineTuned: string, options: OneBase, signal: string, count: number) =>
  spawnNode(PROJECT_ROOT, CHILD, JSON.stringify([fineTuned, options, signal, count]));

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

/** Encodes in this process up to so many tensors, and leaves them. */
async function interruptAfter(count: number, fineTuned: string, options: OneBase): Promise<unknown> {
  const controller = new AbortController();
  let encoded = 0;
  const onProgress: EncodeOptions['onProgress'] = ({ phase }) => {
    if (phase === 'encode' && ++encoded === count) controller.abort('SIGINT');
  };
  return encodeJournaled(fineTuned, { ...options, onProgress, signal: controller.signal }, EAGER).then(
    () => expect.fail('expected an abort'),
    (error) => error,
  );
}
const EAGER = { memoryByteLimit: 0 };

describe('a run that is killed', () => {
  test('again and again, at any tensor, ends with the bytes of one that was not', async () => {
    await withModels(async (folder, options, tuned) => {
      const expected = await uninterrupted(folder, options, tuned);
      const ends = [];
      for (const [i, count] of [1, 3, 2].entries()) {
        const threads = 1 + (i % 2);
        ends.push(await run(tuned, { ...options, threads, resume: i > 0 }, 'SIGKILL', count));
        expect(await exists(options.output)).toBe(false);
      }
      expect(ends.map(({ status }) => status)).toEqual(ends.map(() => null));
      expect((await stat(`${options.output}.unfinished`)).size).toBeGreaterThan(1000);
      await encodeJournaled(tuned, { ...options, resume: true }, EAGER);
      expect((await readFile(options.output)).equals(expected)).toBe(true);
      const left = (await listTree(join(folder, 'out'))).filter((path) => !path.includes('.ere-tmp-'));
      expect(left).toEqual(['a.ere']);
    });
  });

  test('at any time', async () => {
    await withModels(async (folder, options, tuned) => {
      const expected = await uninterrupted(folder, options, tuned);
      for (const [i, delay] of [150, 350].entries()) {
        const script =
          `setTimeout(() => process.kill(process.pid, 'SIGKILL'), ${delay} * (1 + Math.random()));` +
          `process.argv[2] = process.argv[1]; import(${JSON.stringify(CHILD)})`;
        const argv = JSON.stringify([tuned, { ...options, threads: 2, resume: i > 0 }]);
        const { status } = await spawnNode(PROJECT_ROOT, '-e', script, argv);
        expect(await exists(options.output)).toBe(status === 0);
        if (status === 0) await rm(options.output);
      }
      await encodeJournaled(tuned, { ...options, resume: true }, EAGER);
      expect((await readFile(options.output)).equals(expected)).toBe(true);
    });
  });

  test.each(['SIGTERM', 'SIGINT'])(
    'by %s says where the tensors are, and removes the rest',
    async (signal) => {
      await withModels(async (folder, options, tuned) => {
        const { status, stderr } = await run(tuned, options, signal, 4);
        expect([status, stderr]).toEqual([
          130,
          `aborted; finished tensors are in ${options.output}.unfinished: continue with resume, or remove it`,
        ]);
        expect(await listTree(join(folder, 'out'))).toEqual(['a.ere.unfinished']);
        await encode(tuned, { ...options, resume: true });
        expect(await listTree(join(folder, 'out'))).toEqual(['a.ere']);
      });
    },
  );
});

describe('a run that is resumed', () => {
  test.each<[string, EncodeChoices]>([
    ['lossless', { lossless: true }],
    ['with exact terms on top', { exactOnTop: true, budget: { kind: 'ratio', ratio: 0.1 } }],
    ["by the paper's method", { preset: 'ere-paper' }],
    ['of another strategy', { budget: { kind: 'rank', rank: 8 } }],
    ['by an error', { budget: { kind: 'max-error', relativeError: 0.3 } }],
  ])('%s ends with the same bytes', async (_name, choices) => {
    await withModels(async (folder, options, tuned) => {
      const expected = await uninterrupted(folder, options, tuned);
      await interruptAfter(5, tuned, options);
      await encodeJournaled(tuned, { ...options, resume: true }, EAGER);
      expect((await readFile(options.output)).equals(expected)).toBe(true);
    }, choices);
  });

  test('with another budget takes nothing that does not belong', async () => {
    await withModels(async (folder, options, tuned) => {
      await interruptAfter(4, tuned, options);
      const others: OneBase = { ...options, budget: { kind: 'rank', rank: 8 }, bits: 4 };
      const expected = await uninterrupted(folder, others, tuned);
      await encodeJournaled(tuned, { ...others, resume: true }, EAGER);
      expect((await readFile(options.output)).equals(expected)).toBe(true);
    });
  });

  test('with a fine-tune that has changed encodes what is there now', async () => {
    await withModels(async (folder, options, tuned) => {
      await interruptAfter(4, tuned, options);
      const changed = pairs.map((pair, i) => (i % 2 === 0 ? pair : widePair(NAMES[i]!, 77 + i)));
      await writeModel(tuned, modelPair(changed).fineTuned);
      const expected = await uninterrupted(folder, options, tuned);
      await encodeJournaled(tuned, { ...options, resume: true }, EAGER);
      expect((await readFile(options.output)).equals(expected)).toBe(true);
      await verify(options.output, { base: options.base, threads: 1 });
    });
  });

  test('from a damaged file ends with the same bytes', async () => {
    await withModels(async (folder, options, tuned) => {
      const expected = await uninterrupted(folder, options, tuned);
      await interruptAfter(5, tuned, options);
      const unfinished = `${options.output}.unfinished`;
      const kept = join(folder, 'kept');
      await copyFile(unfinished, kept);
      const { size } = await stat(kept);
      const damages: (() => Promise<unknown>)[] = [
        () => truncate(unfinished, Math.floor(size * 0.7)),
        () => appendFile(unfinished, Buffer.alloc(5000, 1)),
        async () => {
          const bytes = await readFile(unfinished);
          bytes[Math.floor(size / 2)]! ^= 8;
          await writeFile(unfinished, bytes);
        },
      ];
      for (const damage of damages) {
        await copyFile(kept, unfinished);
        await damage();
        await encodeJournaled(tuned, { ...options, resume: true, overwrite: true }, EAGER);
        expect((await readFile(options.output)).equals(expected)).toBe(true);
        expect(await exists(unfinished)).toBe(false);
      }
    });
  });
});

describe('the command line', () => {
  let folder: string;
  let release: () => void;
  let done: Promise<void>;
  let options: OneBase;
  let tuned: string;
  beforeAll(async () => {
    await new Promise<void>((ready) => {
      done = withModels((opened, given, fineTuned) => {
        [folder, options, tuned] = [opened, given, fineTuned];
        return new Promise((resolve) => {
          release = resolve;
          ready();
        });
      });
    });
  });
  afterAll(async () => {
    release();
    await done;
  });

  test.each([
    ['SIGINT', 130, 'ERE_ABORTED', 'interrupted'],
    ['SIGTERM', 143, 'ERE_TERMINATED', 'terminated'],
  ])('after %s says how to go on, with the same status as ever', async (signal, status, code, word) => {
    const controller = new AbortController();
    const ran = await runWith(
      ['encode', options.base, tuned, '-o', options.output, '--ratio', '12%', '--overwrite', '--json'],
      {
        encode: (fineTuned, given) =>
          encodeJournaled(
            fineTuned,
            {
              ...given,
              ...QUICK,
              onProgress: ({ phase }) => {
                if (phase === 'encode') controller.abort(signal);
              },
            },
            EAGER,
          ),
      },
      { signal: controller.signal },
    );
    const unfinished = `${options.output}.unfinished`;
    expect([ran.status, ran.stdout]).toEqual([status, '']);
    expect(JSON.parse(ran.stderr)).toMatchObject({
      code,
      unfinished,
      message: `${word}; finished tensors are in ${unfinished}: go on with --resume, or remove it`,
    });
    expect(await listTree(join(folder, 'out'))).toEqual(['a.ere.unfinished']);
  });

  test('asks what to do with them, and takes them with --resume', async () => {
    const argv = ['encode', options.base, tuned, '-o', options.output, '--ratio', '12%'];
    const operations = {
      encode: (fineTuned: string, given: EncodeOptions) => encode(fineTuned, { ...given, ...QUICK }),
    };
    const refused = await runWith(argv, operations);
    expect(refused.status).toBe(11);
    expect(refused.stderr).toMatch(/a\.ere\.unfinished: an interrupted run .*--resume.*--overwrite/);
    expect((await runWith([...argv, '--resume'], operations)).status).toBe(0);
    expect(await listTree(join(folder, 'out'))).toEqual(['a.ere']);
  });
});

/**
 * Models to serve: small ones, with what files can be like. `chat` has three versions and two tags; `user/sharded` two
 * weight files and their index; `user/lossy` is not what was committed; `user/imported` came as an archive, so that
 * nobody knows a digest of its whole weight file. Beside the store a folder of archives.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decode, encode } from '../../src/index.js';
import { initStore } from '../../src/store/open-store.js';
import { normalFloats } from '../kernels/samples.js';
import { floatTensor, type Model, QUICK, writeModel } from './models.js';
import type { TensorToWrite } from './safetensors-bytes.js';
import { listTree } from './temp-folder.js';

export type Files = ReadonlyMap<string, Buffer>;

/** What a version is to be downloaded as. */
export interface ExpectedVersion {
  /** 40 digits; of an archive they are not known before it is served. */
  readonly commit: string | undefined;
  readonly files: Files;
}

export interface ServedModels {
  readonly base: string;
  readonly storePath: string;
  /** Folder of `chat.ere` and `user/sharded.ere`. */
  readonly archives: string;
  /** Versions of `chat`, the oldest first. */
  readonly chat: readonly ExpectedVersion[];
  /** The newest version by model, of the store and of the archives. */
  readonly models: ReadonlyMap<string, ExpectedVersion>;
  readonly archived: ReadonlyMap<string, ExpectedVersion>;
}

const WIDE = floatTensor('wide', 'F32', [512, 700], normalFloats(512 * 700, 7));

/** A step of a run: 0 is the base. */
export function servedModel(step: number, { sharded = false }: { readonly sharded?: boolean } = {}): Model {
  const shapes: readonly (readonly [number, number])[] = [
    [64, 48],
    [40, 72],
    [33, 17],
  ];
  const tensors: TensorToWrite[] = shapes.map(([rows, columns], i) => {
    const values = normalFloats(rows * columns, 10 + i);
    for (let at = 1; at <= step; at++) {
      const update = normalFloats(values.length, 100 * at + i, 0.02);
      for (let k = 0; k < values.length; k += 3) values[k]! += update[k]!;
    }
    return floatTensor(`layers.${i}.weight`, i === 1 ? 'F16' : 'BF16', [rows, columns], values);
  });
  tensors.push(WIDE, floatTensor('empty', 'F32', [0, 4], []));
  tensors.push(floatTensor('norm', 'F32', [48], normalFloats(48, 300 + step)));
  if (step > 0) tensors.push(floatTensor('head', 'F16', [24, 24], normalFloats(576, 9)));
  const names = tensors.map(({ name }) => name);
  return {
    tensors,
    metadata: { format: 'pt' },
    ...(sharded && { shards: [names.slice(0, 3), names.slice(3)] }),
    sideFiles: {
      'config.json': `{"step":${step}}\n`,
      'empty.txt': '',
      'tokenizer/vocab.txt': 'a\nb\n',
      'tokenizer/notes/größe 1.txt': 'with a blank and an umlaut\n',
    },
  };
}

/** Makes all of them in a folder. */
export async function writeServedModels(folder: string): Promise<ServedModels> {
  const base = join(folder, 'base');
  const storePath = join(folder, 'store');
  const archives = join(folder, 'archives');
  await writeModel(base, servedModel(0));
  const tunes = await Promise.all(
    [1, 2, 3, 4].map(async (step) => {
      const path = join(folder, `tune${step}`);
      await writeModel(path, servedModel(step, { sharded: step === 4 }));
      return path;
    }),
  );
  const store = await initStore(storePath);
  try {
    await store.addBase('tiny', base, { threads: 1 });
    const commit = async (path: string, model: string, options: object = {}) => {
      const { version } = await store.commit(path, {
        ...QUICK,
        model,
        message: `from ${path.at(-1)}\n\nmore`,
        ...options,
      });
      return version.id.slice('sha256:'.length).slice(0, 40);
    };
    const chat: ExpectedVersion[] = [];
    for (const path of tunes.slice(0, 3)) {
      // Each is coded against the one before: the third by a chain of three.
      const against = chat.at(-1)?.commit ?? 'base';
      chat.push({
        commit: await commit(path, 'chat', { lossless: true, against }),
        files: await readTree(path),
      });
      if (chat.length === 1) await store.tag('v1.0', 'chat');
      if (chat.length === 2) await store.tag('release/v2', 'chat');
    }
    const sharded = await commit(tunes[3]!, 'user/sharded', { lossless: true });
    const lossy = await commit(tunes[1]!, 'user/lossy', {
      budget: { kind: 'step', step: 0.01 },
      parent: null,
    });
    const lossyPath = join(folder, 'lossy');
    await store.checkout('user/lossy', { output: lossyPath, threads: 1 });
    await mkdir(join(archives, 'user'), { recursive: true });
    const chatArchive = join(archives, 'chat.ere');
    const shardedArchive = join(archives, 'user', 'sharded.ere');
    await encode(tunes[0]!, { ...QUICK, base, output: chatArchive, lossless: true });
    await encode(tunes[3]!, { ...QUICK, base, output: shardedArchive, budget: { kind: 'step', step: 0.01 } });
    const decoded = join(folder, 'decoded');
    await decode(shardedArchive, { base, output: decoded, threads: 1 });
    const { version } = await store.import(chatArchive, { model: 'user/imported', message: 'imported' });
    return {
      base,
      storePath,
      archives,
      chat,
      models: new Map([
        ['chat', chat[2]!],
        ['user/imported', { commit: version.id.slice(7, 47), files: chat[0]!.files }],
        ['user/lossy', { commit: lossy, files: await readTree(lossyPath) }],
        ['user/sharded', { commit: sharded, files: await readTree(tunes[3]!) }],
      ]),
      archived: new Map([
        ['chat', { commit: undefined, files: chat[0]!.files }],
        ['user/sharded', { commit: undefined, files: await readTree(decoded) }],
      ]),
    };
  } finally {
    await store.close();
  }
}

/** Files of a folder by path, sorted. */
export async function readTree(folder: string): Promise<Files> {
  const paths = await listTree(folder);
  return new Map(
    await Promise.all(paths.map(async (path) => [path, await readFile(join(folder, path))] as const)),
  );
}

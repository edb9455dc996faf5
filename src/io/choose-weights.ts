/** Which files of a model folder are the checkpoint, by the names that transformers, diffusers and PEFT write. */
import { type EreError, NotFoundError, UnsupportedError } from '../../formats/errors.js';
import { weightFormat } from './weight-extensions.js';

/** Names in one folder, without those that begin with a dot; each list in code-unit order. */
export interface FolderEntries {
  readonly files: readonly string[];
  readonly folders: readonly string[];
}

export type WeightChoice =
  | { readonly kind: 'index'; readonly index: string }
  | { readonly kind: 'files'; readonly files: readonly string[] };

/** `model.safetensors.index.json`, and with a variant `model.safetensors.index.fp16.json`. */
const INDEX = /\.safetensors\.index(?:\.[^.]+)?\.json$/;
const SHARD = /^(.*)-(\d{5})-of-(\d{5})\.safetensors$/;
/** Stems in the order of preference: transformers, diffusers. */
const STEMS = ['model', 'diffusion_pytorch_model'];
const ADAPTER = /^adapter_(?:model(?:\..*)?\.(?:safetensors|bin)|config\.json)$/;

/** True for the name of a shard index. */
export function isShardIndexName(name: string): boolean {
  return INDEX.test(name);
}

/**
 * The index when there is one, else `model.safetensors`, else every .safetensors file of the folder but adapters.
 * @throws NotFoundError, UnsupportedError that say what was found instead and what to do
 */
export function chooseWeights(folder: string, { files, folders }: FolderEntries): WeightChoice {
  for (const stem of STEMS) {
    if (files.includes(`${stem}.safetensors.index.json`)) {
      return { kind: 'index', index: `${stem}.safetensors.index.json` };
    }
    if (files.includes(`${stem}.safetensors`)) return { kind: 'files', files: [`${stem}.safetensors`] };
  }
  const indexes = files.filter(isShardIndexName);
  if (indexes.length > 1) {
    const message = `${folder}: holds several checkpoints; name one of the indexes ${list(indexes)}`;
    throw new UnsupportedError('a folder with several checkpoints', message);
  }
  if (indexes.length === 1) return { kind: 'index', index: indexes[0] };

  const weights = files.filter((name) => name.endsWith('.safetensors') && !ADAPTER.test(name));
  if (weights.length === 0) throw nothingToOpen(folder, { files, folders });
  assertShardsComplete(folder, weights);
  return { kind: 'files', files: weights };
}

/** @throws NotFoundError when one of `…-00001-of-0000N.safetensors` is missing and no index would tell. */
function assertShardsComplete(folder: string, names: readonly string[]): void {
  for (const name of names) {
    const match = SHARD.exec(name);
    if (match === null) continue;
    const [, stem, , total] = match;
    for (let number = 1; number <= Number(total); number++) {
      const shard = `${stem}-${String(number).padStart(5, '0')}-of-${total}.safetensors`;
      if (!names.includes(shard)) throw new NotFoundError(`${folder}: shard ${shard} is missing`);
    }
  }
}

function nothingToOpen(folder: string, { files, folders }: FolderEntries): EreError {
  const adapters = files.filter((name) => ADAPTER.test(name));
  if (adapters.length > 0) {
    return new UnsupportedError(
      'PEFT adapters',
      `${folder}: holds an adapter (${list(adapters)}), not a full checkpoint; ` +
        'merge it into its base (PeftModel.merge_and_unload) and save that',
    );
  }
  const others = files.filter((name) => weightFormat(name) !== undefined);
  if (others.length > 0) {
    const formats = [...new Set(others.map((name) => weightFormat(name)))].join(', ');
    return new UnsupportedError(
      `weights as ${formats}`,
      `${folder}: holds ${formats} weights only (${list(others)}); convert them to safetensors first`,
    );
  }
  const found = [...files, ...folders.map((name) => `${name}/`)];
  const hint = folders.length > 0 ? '; if the weights are in one of its folders, name that folder' : '';
  const what = found.length === 0 ? 'the folder is empty' : `found ${list(found)}${hint}`;
  return new NotFoundError(`${folder}: expected a .safetensors file or a shard index, ${what}`);
}

/** At most eight names; the rest is counted. */
function list(names: readonly string[]): string {
  const shown = names.slice(0, 8).join(', ');
  return names.length > 8 ? `${shown} and ${names.length - 8} more` : shown;
}

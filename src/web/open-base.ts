/** A base checkpoint that a page reaches: one safetensors file, its shards, or the URL of a shard index. */
import type { ByteSource } from '../../formats/byte-source.js';
import type { Checkpoint } from '../../formats/checkpoint.js';
import { LimitError } from '../../formats/errors.js';
import { LIMITS } from '../../formats/limits.js';
import { openSafetensors } from '../../formats/safetensors/open-safetensors.js';
import { type Shard, safetensorsCheckpoint } from '../../formats/safetensors/safetensors-checkpoint.js';
import { assertShardIndex, parseShardIndex, shardPaths } from '../../formats/safetensors/shard-index.js';
import { type HttpSourceOptions, httpSource } from './http-source.js';
import { openSource, type WebSource } from './open-source.js';

const SHARD_INDEX = /\.safetensors\.index(?:\.[^./]+)?\.json$/;

/**
 * Opens the headers of a base's weight files.
 * @param base one file, all shards, or the URL of a `….safetensors.index.json` with the shards beside it
 * @throws as httpSource; FormatError, UnsupportedError for files that are not safetensors
 */
export async function openBase(
  base: WebSource | readonly WebSource[],
  options: HttpSourceOptions = {},
): Promise<Checkpoint> {
  if (!Array.isArray(base)) {
    const url = indexUrl(base as WebSource);
    if (url !== undefined) return openIndexed(url, options);
  }
  const sources = Array.isArray(base) ? (base as readonly WebSource[]) : [base as WebSource];
  const opened = await Promise.all(sources.map((source) => openSource(source, options)));
  return joinShards(opened.map(({ name }) => name).join(', '), opened);
}

async function joinShards(
  location: string,
  sources: readonly ByteSource[],
  paths = sources.map(({ name }) => name.slice(name.lastIndexOf('/') + 1)),
  check?: (shards: readonly Shard[]) => void,
): Promise<Checkpoint> {
  const files = await Promise.all(sources.map((source) => openSafetensors(source)));
  const shards = files.map((file, i): Shard => ({ path: paths[i]!, file }));
  check?.(shards);
  return safetensorsCheckpoint({ location, shards });
}

/** The URL of a shard index, without its query. */
function indexUrl(base: WebSource): URL | undefined {
  if (typeof base !== 'string' && !(base instanceof URL)) return undefined;
  const page = typeof document === 'undefined' ? undefined : document.baseURI;
  if (!URL.canParse(base, page)) return undefined;
  const url = new URL(base, page);
  return SHARD_INDEX.test(url.pathname) ? url : undefined;
}

async function openIndexed(url: URL, options: HttpSourceOptions): Promise<Checkpoint> {
  const source = await httpSource(url, options);
  const { name, byteLength } = source;
  const limit = LIMITS.sideFileByteLength;
  if (byteLength > limit) {
    throw new LimitError(`${name}: shard index of ${byteLength} bytes, over ${limit}`, limit, byteLength);
  }
  const index = parseShardIndex(await source.read(0, byteLength), name);
  const paths = shardPaths(index);
  const shards = paths.map((path) => {
    const shard = new URL(path.split('/').map(encodeURIComponent).join('/'), url);
    shard.search = url.search;
    return httpSource(shard, options);
  });
  return joinShards(name, await Promise.all(shards), paths, (opened) => {
    const names = opened.map(
      ({ path, file }) => [path, file.header.tensors.map((tensor) => tensor.name)] as const,
    );
    assertShardIndex(index, name, new Map(names));
  });
}

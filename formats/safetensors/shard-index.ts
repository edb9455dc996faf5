/**
 * The index of a sharded checkpoint, `model.safetensors.index.json`: which shard holds which tensor
 * (huggingface_hub, `save_torch_state_dict`; transformers, `save_pretrained`).
 */
import { FormatError, quoteName } from '../errors.js';
import { type JsonObject, JsonScanner, type JsonValue } from '../json-scanner.js';
import { assertDistinctPaths, assertSafeRelativePath } from '../relative-path.js';

export interface ShardIndex {
  /** Tensor name → path of its shard, relative to the index, in the order of the index. */
  readonly weightMap: ReadonlyMap<string, string>;
  /**
   * Everything under `metadata`. Its `total_size` is not checked: writers disagree whether it counts parameters
   * or bytes, and whether tied tensors count twice.
   */
  readonly metadata: ReadonlyMap<string, JsonValue>;
}

/**
 * Parses an index.
 * @throws FormatError naming the file, the tensor and the rule that is broken
 */
export function parseShardIndex(bytes: Uint8Array, file: string): ShardIndex {
  const scanner = new JsonScanner(bytes, { format: 'safetensors', file });
  let weightMap: Map<string, string> | undefined;
  let metadata: JsonObject = new Map();
  scanner.object('the shard index', (key) => {
    if (key === 'weight_map') weightMap = scanWeightMap(scanner, file);
    else if (key === 'metadata') metadata = scanMetadata(scanner);
    else scanner.value(quoteName(key));
  });
  scanner.end('the shard index');
  if (weightMap === undefined) {
    throw new FormatError('safetensors', 'weight_map is missing; is this a shard index?', { file });
  }
  assertDistinctPaths(shardPaths({ weightMap }), { format: 'safetensors', file });
  return { weightMap, metadata };
}

/** Writes an index as the reference writers do: indented by two, keys sorted, ASCII, with a final line feed. */
export function serializeShardIndex(index: ShardIndex): Uint8Array<ArrayBuffer> {
  const document = new Map<string, JsonValue>([
    ['metadata', new Map(index.metadata)],
    ['weight_map', new Map(index.weightMap)],
  ]);
  return new TextEncoder().encode(`${serializeSorted(document, '')}\n`);
}

/** Paths of the shards, each once, in code-unit order. */
export function shardPaths(index: Pick<ShardIndex, 'weightMap'>): string[] {
  return [...new Set(index.weightMap.values())].sort();
}

/**
 * Checks an index against its shards.
 * @param shardTensors path of each shard → names of the tensors in it
 * @throws FormatError on a tensor that is not in the shard the index names, or that is in two shards
 */
export function assertShardIndex(
  index: ShardIndex,
  file: string,
  shardTensors: ReadonlyMap<string, Iterable<string>>,
): void {
  const shardOf = new Map<string, string>();
  for (const [shard, names] of shardTensors) {
    for (const name of names) {
      const other = shardOf.get(name);
      if (other !== undefined) throw indexError(file, name, `the tensor is in ${other} and in ${shard}`);
      shardOf.set(name, shard);
    }
  }
  for (const [name, shard] of index.weightMap) {
    const found = shardOf.get(name);
    if (found === shard) continue;
    const where = found === undefined ? 'it is in no shard' : `it is in ${found}`;
    throw indexError(file, name, `weight_map says ${shard}, but ${where}`);
  }
}

function scanWeightMap(scanner: JsonScanner, file: string): Map<string, string> {
  const weightMap = new Map<string, string>();
  const checked = new Set<string>();
  scanner.object('weight_map', (name, position) => {
    const shard = scanner.string(`weight_map value of ${quoteName(name)}`);
    if (!checked.has(shard)) {
      assertSafeRelativePath(shard, { format: 'safetensors', file });
      if (!shard.endsWith('.safetensors')) {
        throw scanner.error(`shard ${quoteName(shard)} is not a .safetensors file`, position);
      }
      checked.add(shard);
    }
    weightMap.set(name, shard);
  });
  return weightMap;
}

function scanMetadata(scanner: JsonScanner): JsonObject {
  const position = scanner.mark();
  const value = scanner.value('metadata');
  if (value instanceof Map) return value;
  throw scanner.error('metadata is not a JSON object', position);
}

/** `json.dumps(value, indent=2, sort_keys=True)` of Python; keys in code-unit order. */
function serializeSorted(value: JsonValue, indent: string): string {
  const inner = `${indent}  `;
  const join = (open: string, items: readonly string[], close: string) =>
    items.length === 0 ? open + close : `${open}\n${inner}${items.join(`,\n${inner}`)}\n${indent}${close}`;
  if (value instanceof Map) {
    const keys = [...value.keys()].sort();
    const items = keys.map((key) => `${ascii(key)}: ${serializeSorted(value.get(key) ?? null, inner)}`);
    return join('{', items, '}');
  }
  if (Array.isArray(value))
    return join(
      '[',
      value.map((item) => serializeSorted(item, inner)),
      ']',
    );
  return ascii(value);
}

/** JSON of a scalar in ASCII, as Python's `ensure_ascii`. */
function ascii(value: null | boolean | number | string): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function indexError(file: string, tensor: string, message: string): FormatError {
  return new FormatError('safetensors', message, { file, tensor });
}

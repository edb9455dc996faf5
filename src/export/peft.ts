/**
 * Exports an archive of low-rank residuals as a LoRA adapter in PEFT's layout. The factors are the archive's
 * integers times a float each, so B·A is the residual that decoding adds, up to the rounding of the adapter's dtype.
 */
import type { Dtype, FloatDtype } from '../../formats/dtype.js';
import { type Archive, openArchive } from '../../formats/ere/open-archive.js';
import { UnsupportedError } from '../../formats/errors.js';
import {
  ADAPTER_CONFIG_FILE,
  ADAPTER_WEIGHTS_FILE,
  type AdapterTensor,
  adapterTensors,
  serializeAdapterConfig,
} from '../../formats/peft/adapter.js';
import { serializeSafetensorsHeader } from '../../formats/safetensors/serialize-header.js';
import type { IntegerFactors } from '../codecs/integer-product.js';
import { KNOWN_CODECS } from '../codecs/known-codecs.js';
import { readIntegerFactors } from '../codecs/low-rank.js';
import { float32Param } from '../codecs/params.js';
import { withAtomicFolder } from '../io/atomic-output.js';
import { openFileSource } from '../io/file-source.js';
import { nodeRuntime } from '../io/node-runtime.js';
import { openCheckpoint } from '../io/open-checkpoint.js';
import { abortError } from '../io/worker-pool.js';
import type { Kernels } from '../kernels/kernels.js';
import { assertBaseDigest, assertBaseLayout, baseTensorOf } from '../residual/archive-base.js';
import { digestTensor } from '../residual/digest-tensor.js';
import { type DroppedTensor, type ExportedTensor, splitForPeft } from './peft-modules.js';

export interface ExportLoraOptions {
  /** Folder to create. */
  readonly output: string;
  /** Base to check against the archive: layout, and the digests of the tensors that the adapter changes. Default: unchecked. */
  readonly base?: string;
  /** What adapter_config.json calls the base; default: the name in the archive. */
  readonly baseModel?: string;
  /** Dtype of the factors; default 'F32'. */
  readonly dtype?: 'F32' | 'BF16' | 'F16';
  /** Leave out what an adapter cannot hold, instead of refusing; default false. */
  readonly drop?: boolean;
  /** Replace an existing output; default false. */
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal;
}

export interface ExportLoraReport {
  readonly output: string;
  readonly files: readonly string[];
  /** Bytes of the adapter's weights. */
  readonly byteLength: number;
  /** Modules with their ranks, in the order of the archive. */
  readonly modules: readonly { readonly name: string; readonly rank: number }[];
  /** What the archive changes and the adapter does not. */
  readonly dropped: readonly DroppedTensor[];
  readonly durationMs: number;
}

/**
 * Writes adapter_model.safetensors and adapter_config.json into `options.output`.
 * @throws EreError: UnsupportedError for an archive that holds what an adapter cannot (unless `drop`), or nothing
 * that it can; CheckpointMismatchError for another base; as decode for a damaged archive. Nothing is written then.
 */
export async function exportLora(archive: string, options: ExportLoraOptions): Promise<ExportLoraReport> {
  const started = performance.now();
  const { dtype = 'F32', output } = options;
  if (!['F32', 'BF16', 'F16'].includes(dtype)) {
    throw new TypeError(`expected dtype to be one of F32, BF16, F16, got ${String(dtype)}`);
  }
  const source = await openFileSource(archive);
  try {
    const opened = await openArchive(source, { codecs: KNOWN_CODECS });
    const { exported, dropped } = splitForPeft(opened.index);
    assertExportable(archive, exported, dropped, options.drop ?? false);
    if (options.base !== undefined) await checkBase(opened, options.base, exported);
    const modules = exported.map(({ module }) => module);
    const tensors = adapterTensors(modules, dtype);
    const header = serializeSafetensorsHeader(tensors, new Map([['format', 'pt']]));
    const inputs = [archive, ...(options.base === undefined ? [] : [options.base])];
    const outputOptions = { overwrite: options.overwrite ?? false, inputs, signal: options.signal };
    const byteLength = await withAtomicFolder(output, outputOptions, async (folder) => {
      const weights = await folder.createFile(ADAPTER_WEIGHTS_FILE);
      await weights.write(header);
      const { kernels } = nodeRuntime('wasm');
      for await (const bytes of factorBytes(opened, exported, tensors, kernels)) {
        if (options.signal?.aborted) throw abortError(options.signal);
        await weights.write(bytes);
      }
      const config = await folder.createFile(ADAPTER_CONFIG_FILE);
      const baseModel = options.baseModel ?? opened.index.base.name;
      await config.write(new TextEncoder().encode(serializeAdapterConfig(modules, baseModel)));
      return weights.position;
    });
    return {
      output,
      files: [ADAPTER_WEIGHTS_FILE, ADAPTER_CONFIG_FILE],
      byteLength,
      modules: modules.map(({ name, rank }) => ({ name, rank })),
      dropped,
      durationMs: performance.now() - started,
    };
  } finally {
    await source.close();
  }
}

/** Names that an error lists before it only counts. */
const LISTED = 3;

function assertExportable(
  archive: string,
  exported: readonly ExportedTensor[],
  dropped: readonly DroppedTensor[],
  drop: boolean,
): void {
  if (dropped.length > 0 && !drop) {
    const listed = dropped.slice(0, LISTED).map(({ name, reason }) => `"${name}": ${reason}`);
    const more = dropped.length > LISTED ? `; and ${dropped.length - LISTED} more` : '';
    throw new UnsupportedError(
      'a LoRA adapter of this archive',
      `${archive}: an adapter cannot hold all of it: ${listed.join('; ')}${more}. ` +
        'Encode with preset lora for matrices as low-rank products, or drop what does not fit.',
    );
  }
  if (exported.length === 0) {
    throw new UnsupportedError(
      'a LoRA adapter of this archive',
      `${archive}: no tensor is stored as a low-rank product that an adapter could hold`,
    );
  }
}

/** @throws CheckpointMismatchError when the base has another layout, or other values where the adapter adds */
async function checkBase(
  { index }: Archive,
  path: string,
  exported: readonly ExportedTensor[],
): Promise<void> {
  const base = await openCheckpoint(path);
  try {
    assertBaseLayout(index, base);
    const runtime = nodeRuntime('wasm');
    for (const { tensor } of exported) {
      assertBaseDigest(index, base, tensor, await digestTensor(base, baseTensorOf(base, tensor)!, runtime));
    }
  } finally {
    await base.close();
  }
}

/** Bytes of every tensor of the adapter, in order. Both factors of a module usually follow each other. */
async function* factorBytes(
  archive: Archive,
  exported: readonly ExportedTensor[],
  tensors: readonly AdapterTensor[],
  kernels: Kernels,
): AsyncGenerator<Uint8Array, void, void> {
  const sources = new Map(exported.map(({ module, tensor }) => [module, tensor]));
  let last: { readonly module: AdapterTensor['module']; readonly factors: ScaledFactors } | undefined;
  for (const { module, factor, dtype, name } of tensors) {
    if (last?.module !== module) {
      const tensor = sources.get(module)!;
      const term = tensor.terms[0]!;
      const context = {
        term,
        subject: `${archive.source.name}, tensor "${tensor.name}"`,
        rowCount: module.rows,
        columns: module.columns,
        rowByteLength: 0, // of exact codecs only
        dtype: tensor.dtype,
        kernels,
        chunk: (i: number) => archive.readChunk(term.chunks[i]!),
      };
      const scale = float32Param(context, 'scale');
      last = { module, factors: { ...(await readIntegerFactors(context)), scale } };
    }
    yield toBytes(factorValues(module, last.factors, factor), dtype, name, kernels);
  }
}

/** r_ij = scale · Σ_k a_ik · b_jk. */
type ScaledFactors = IntegerFactors & { readonly scale: number };

/**
 * The values of lora_A or lora_B. With R̂ = s · a·bᵀ (a: rows × r, b: columns × r) the outer factor takes
 * β·√s and the inner √s/β, where β makes both equally large: half-precision adapters have little range.
 */
function factorValues(
  { kind, rows, columns, rank }: AdapterTensor['module'],
  { a, b, scale }: ScaledFactors,
  factor: 'A' | 'B',
): Float32Array {
  const balance = Math.sqrt(norm(b) / norm(a) || 1);
  const root = Math.sqrt(Math.abs(scale));
  const ofA = Math.sign(scale) * root * balance;
  const ofB = root / balance;
  // A linear layer has B = a and A = bᵀ; an embedding, whose product PEFT transposes, A = aᵀ and B = b.
  const isOuter = (factor === 'B') === (kind === 'linear');
  const [integers, length, weight] = isOuter ? [a, rows, ofA] : [b, columns, ofB];
  const values = new Float32Array(length * rank);
  for (let i = 0; i < length; i++) {
    for (let k = 0; k < rank; k++) {
      const at = factor === 'B' ? i * rank + k : k * length + i;
      values[at] = integers[i * rank + k]! * weight;
    }
  }
  return values;
}

function norm(values: Int16Array | Int32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return Math.sqrt(sum);
}

/** @throws UnsupportedError when a value is too large for the dtype */
function toBytes(values: Float32Array, dtype: Dtype, name: string, kernels: Kernels): Uint8Array {
  const bytes = new Uint8Array(values.length * (dtype === 'F32' ? 4 : 2));
  kernels.fromFloat32(dtype as FloatDtype, values, bytes);
  const back = new Float32Array(values.length);
  kernels.toFloat32(dtype as FloatDtype, bytes, back);
  if (kernels.statistics(back).nonFiniteCount > 0) {
    throw new UnsupportedError(
      `${dtype} factors`,
      `tensor "${name}": values over the range of ${dtype}; expected F32 or BF16 for this adapter`,
    );
  }
  return bytes;
}

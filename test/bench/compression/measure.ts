/**
 * One method on one pair: encode, decode, and compare what was decoded with the fine-tuned weights. Errors
 * come from the decoded files, not from what the encoder says of itself.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Dtype, elementCount } from '../../../formats/dtype.js';
import { type BitsPerByteReport, bitsPerByte } from '../../../src/evaluate/index.js';
import { decode, type EncodeOptions, type EncodeReport, encode } from '../../../src/index.js';
import { openCheckpoint } from '../../../src/io/open-checkpoint.js';
import { loadKernels } from '../../../src/kernels/load-kernels.js';
import type { Family, Method, MethodOptions, PairKind } from './methods.js';
import { compareUlps, type UlpComparison } from './ulps.js';
import { measureXorPlanes } from './xor-planes.js';

const kernels = loadKernels('wasm');

interface LoadedTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** A pair on disk and in memory. */
export interface Pair {
  readonly kind: PairKind;
  readonly title: string;
  readonly basePath: string;
  readonly fineTunedPath: string;
  readonly base: ReadonlyMap<string, LoadedTensor>;
  readonly fineTuned: ReadonlyMap<string, LoadedTensor>;
  /** bf16 tensors of two dimensions that differ: what bits per weight and errors are about. */
  readonly matrices: readonly LoadedTensor[];
  /** ‖R‖² over the matrices. */
  readonly squaredResidual: number;
  readonly weightCount: number;
  /** Held-out text for a model that can be run. */
  readonly text?: Uint8Array;
}

export interface Measurement {
  readonly method: Method;
  readonly family: Family;
  /** The whole archive. */
  readonly byteLength: number;
  /** byteLength over the bytes of the fine-tuned weight files. */
  readonly share: number;
  /** Payload of the matrices. */
  readonly bitsPerWeight: number;
  /** ‖R − R̂‖² / ‖R‖² over the matrices; 0 only where every tensor has the bytes of the fine-tune. */
  readonly squaredError: number;
  readonly bitsPerByte?: number;
  /** The Gaussian bound at the errors of the matrices, in bits per weight, where the report has it. */
  readonly boundBits?: number;
  /** Largest rank of a matrix. */
  readonly rank: number;
  readonly ulps: UlpComparison;
  readonly encodeMs: number;
  readonly decodeMs: number;
}

/** What a method that this version does not have says instead of figures. */
export interface Absence {
  readonly method: Method;
  readonly reason: string;
}

export async function loadPair(
  kind: PairKind,
  title: string,
  paths: { readonly base: string; readonly fineTuned: string },
  text?: Uint8Array,
): Promise<Pair> {
  const base = await loadTensors(paths.base);
  const fineTuned = await loadTensors(paths.fineTuned);
  const matrices = [...fineTuned.values()].filter(({ name, dtype, shape, bytes }) => {
    const other = base.get(name);
    return dtype === 'BF16' && shape.length === 2 && other !== undefined && !equalBytes(other.bytes, bytes);
  });
  return {
    kind,
    title,
    basePath: paths.base,
    fineTunedPath: paths.fineTuned,
    base,
    fineTuned,
    matrices,
    squaredResidual: squaredDistance(matrices, base),
    weightCount: matrices.reduce((sum, { shape }) => sum + elementCount(shape)!, 0),
    ...(text === undefined ? {} : { text }),
  };
}

/** Measures in `folder`, which is as empty afterwards as it was before. */
export async function measure(pair: Pair, method: Method, folder: string): Promise<Measurement | Absence> {
  if (method.options === undefined) return measureXor(pair, method);
  const archive = join(folder, 'tuned.ere');
  const output = join(folder, 'rebuilt');
  try {
    const report = await tryEncode(pair, method.options, archive);
    if (report instanceof Error) return { method, reason: report.message };
    if (method.isMeasured?.(report) === false) return { method, reason: 'this version does not have it' };
    const { durationMs: decodeMs } = await decode(archive, { base: pair.basePath, output });
    const decoded = await loadTensors(output);
    const quality = await evaluate(output, pair.text);
    const names = new Set(pair.matrices.map(({ name }) => name));
    const reports = report.tensors.filter(({ name }) => names.has(name));
    const boundBits = boundOf(reports, pair.weightCount);
    return {
      method,
      family: method.family,
      byteLength: report.archiveByteLength,
      share: report.ratio,
      bitsPerWeight: (8 * reports.reduce((sum, tensor) => sum + tensor.byteLength, 0)) / pair.weightCount,
      squaredError: squaredDistance(pair.matrices, decoded) / pair.squaredResidual,
      ...(quality === undefined ? {} : { bitsPerByte: quality.bitsPerByte }),
      ...(boundBits === undefined ? {} : { boundBits }),
      rank: Math.max(...reports.map((tensor) => tensor.rank)),
      ulps: compareUlps(
        pair.matrices.map(({ name, bytes }) => ({
          base: pair.base.get(name)!.bytes,
          fineTuned: bytes,
          decoded: decoded.get(name)!.bytes,
        })),
      ),
      encodeMs: report.durationMs,
      decodeMs,
    };
  } finally {
    await rm(archive, { force: true });
    await rm(output, { recursive: true, force: true });
  }
}

/** A method that is not there yet is refused for its options. */
async function tryEncode(
  pair: Pair,
  options: MethodOptions,
  output: string,
): Promise<EncodeReport | TypeError | RangeError> {
  try {
    const all = { ...options, base: pair.basePath, output } as EncodeOptions;
    return await encode(pair.fineTunedPath, all);
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) return error;
    throw error;
  }
}

/** Bits per byte of a model folder; undefined without a text, or without onnxruntime-node. */
export async function evaluate(
  modelFolder: string,
  text: Uint8Array | undefined,
): Promise<BitsPerByteReport | undefined> {
  return text === undefined ? undefined : bitsPerByte(modelFolder, text);
}

function measureXor(pair: Pair, method: Method): Measurement {
  const tensors = [...pair.fineTuned.values()].map(({ name, shape, bytes }) => ({
    base: pair.base.get(name)!.bytes,
    fineTuned: bytes,
    elementByteLength: bytes.byteLength / elementCount(shape)!,
  }));
  const { byteLengths, encodeMs, decodeMs } = measureXorPlanes(tensors);
  const names = [...pair.fineTuned.keys()];
  const matrices = new Set(pair.matrices.map(({ name }) => name));
  const sum = (lengths: readonly number[]): number => lengths.reduce((total, length) => total + length, 0);
  return {
    method,
    family: method.family,
    byteLength: sum(byteLengths),
    share: sum(byteLengths) / sum(tensors.map(({ fineTuned }) => fineTuned.byteLength)),
    bitsPerWeight: (8 * sum(byteLengths.filter((_, i) => matrices.has(names[i]!)))) / pair.weightCount,
    squaredError: 0,
    rank: 0,
    ulps: { equalShare: 1, neighbourShare: 1, largestError: 0 },
    encodeMs,
    decodeMs,
  };
}

/** Σ bits of the bound over the weights, from reports that state the gap to it. */
function boundOf(reports: EncodeReport['tensors'], weightCount: number): number | undefined {
  let bits = 0;
  for (const report of reports) {
    if (report.boundGapBits === undefined) return undefined;
    bits += 8 * report.byteLength - report.boundGapBits * elementCount(report.shape)!;
  }
  return bits / weightCount;
}

async function loadTensors(path: string): Promise<Map<string, LoadedTensor>> {
  const checkpoint = await openCheckpoint(path);
  try {
    const tensors = new Map<string, LoadedTensor>();
    for (const { name, dtype, shape } of checkpoint.tensors.values()) {
      tensors.set(name, { name, dtype, shape, bytes: await checkpoint.read(name) });
    }
    return tensors;
  } finally {
    await checkpoint.close();
  }
}

/** Σ ‖x − y‖² over tensors with the names of `matrices`. */
function squaredDistance(
  matrices: readonly LoadedTensor[],
  others: ReadonlyMap<string, LoadedTensor>,
): number {
  return matrices.reduce((sum, { name, dtype, bytes }) => {
    const other = others.get(name);
    if (other?.dtype !== dtype) throw new Error(`${name}: expected ${dtype}, found ${other?.dtype}`);
    return sum + kernels.squaredDistance('BF16', bytes, other.bytes);
  }, 0);
}

function equalBytes(x: Uint8Array, y: Uint8Array): boolean {
  return Buffer.compare(x, y) === 0;
}

/** The bytes of held-out text of test/fixtures/tinylm. */
export async function heldOutText(path: string, sequenceCount: number): Promise<Uint8Array> {
  return (await readFile(path)).subarray(0, sequenceCount * 256);
}

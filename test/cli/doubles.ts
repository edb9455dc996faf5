/** Doubles for CLI tests in process: captured streams, and operations that return or throw what a test says. */
import type { CliContext, Operations, OutputStream } from '../../cli/context.js';
import { run } from '../../cli/program.js';
import type { EncodeReport, InspectReport, TensorReport } from '../../src/residual/api.js';
import type { DiffReport, TensorDiff } from '../../src/residual/diff-report.js';

export interface CapturedStream extends OutputStream {
  text: string;
}

export function capturedStream(fields: { isTTY?: boolean; columns?: number } = {}): CapturedStream {
  return {
    ...fields,
    text: '',
    write(text, done) {
      this.text += text;
      done();
      return true;
    },
  };
}

export interface RunResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `ere` with operations that throw unless the test gives them. */
export async function runWith(
  argv: readonly string[],
  operations: Partial<Operations> = {},
  fields: Partial<CliContext> = {},
): Promise<RunResult> {
  const [stdout, stderr] = [capturedStream(), capturedStream()];
  const missing = async () => {
    throw new Error('the test expected this operation not to be called');
  };
  const all: Operations = {
    encode: missing,
    estimateEncode: missing,
    decode: missing,
    verify: missing,
    inspect: missing,
    exportLora: missing,
    truncate: missing,
    diff: missing,
    push: missing,
    pull: missing,
    serve: missing,
    readServeTokens: missing,
    hubCacheFolder: missing,
    initStore: missing,
    openStore: missing,
    findStore: async () => undefined,
    pathExists: async () => true,
    ...operations,
  };
  const status = await run(argv, {
    stdout,
    stderr,
    signal: new AbortController().signal,
    environment: {},
    loadOperations: async () => all,
    ...fields,
  });
  return { status, stdout: stdout.text, stderr: stderr.text };
}

export function tensorReport(fields: Partial<TensorReport> = {}): TensorReport {
  const { relativeError = 0.61 } = fields;
  return {
    name: 'model.layers.0.mlp.up_proj.weight',
    case: 'residual',
    dtype: 'BF16',
    shape: [704, 256],
    codecs: ['low-rank'],
    rank: 12,
    byteLength: 9000,
    fineTunedByteLength: 360_448,
    relativeError,
    bitsPerWeight: 0.4,
    signalToNoiseDb: relativeError > 0 ? -20 * Math.log10(relativeError) : undefined,
    keptEnergy: 1 - relativeError ** 2,
    boundGapBits: relativeError > 0 ? 0.25 : undefined,
    ...fields,
  };
}

export function encodeReport(fields: Partial<EncodeReport> = {}): EncodeReport {
  return {
    base: 'llama',
    archiveByteLength: 594_000,
    fineTunedByteLength: 9_909_200,
    ratio: 594_000 / 9_909_200,
    relativeError: 0.6,
    allocation: 'layerwise',
    bits: 4,
    productRanks: [],
    tensors: [
      tensorReport(),
      tensorReport({ name: 'model.layers.1.mlp.up_proj.weight', rank: 31, relativeError: 0.58 }),
      tensorReport({
        name: 'model.norm.weight',
        case: 'vector',
        shape: [256],
        codecs: ['exact'],
        rank: 0,
        byteLength: 380,
        bitsPerWeight: 11.875,
        fineTunedByteLength: 512,
        relativeError: 0,
      }),
    ],
    removed: ['lm_head.weight'],
    sideFiles: [
      { path: 'config.json', byteLength: 565, from: 'archive' },
      { path: 'model.onnx', byteLength: 284_841, from: 'base' },
    ],
    skippedFiles: [{ path: 'optimizer.bin', reason: 'larger than 64 MiB' }],
    warnings: ['onnxruntime-node is missing: encoding with the slower WebAssembly engine'],
    gemmEngine: 'wasm',
    durationMs: 4210,
    ...fields,
  };
}

export function inspectReport(): InspectReport {
  return {
    archive: 'tuned.ere',
    byteLength: 594_000,
    tensors: encodeReport().tensors,
    prefixes: [
      { byteLength: 148_000, quality: 'partial', loss: { relativeError: 0.81, isEstimated: true } },
      { byteLength: 594_000, quality: 'lossy', loss: { relativeError: 0.6, isEstimated: false } },
    ],
    index: {
      generator: 'ere 0.1.0',
      encoding: { allocation: 'layerwise', bits: 4 },
      base: { name: 'llama', revision: 'main', digest: `sha256:${'0'.repeat(64)}`, tensorCount: 54 },
      decoded: { digest: `sha256:${'1'.repeat(64)}` },
      codecs: ['low-rank', 'exact'],
      files: [
        {
          path: 'model.safetensors',
          byteLength: 9_909_200,
          header: { chunk: 0, byteLength: 6000, encoding: 'deflate-raw' },
        },
      ],
      sideFiles: [
        {
          path: 'config.json',
          byteLength: 565,
          digest: `sha256:${'2'.repeat(64)}`,
          content: { chunk: 1, byteLength: 565, encoding: 'deflate-raw' },
        },
        { path: 'model.onnx', byteLength: 284_841, digest: `sha256:${'3'.repeat(64)}` },
      ],
      tensors: [
        {
          name: 'model.layers.0.mlp.up_proj.weight',
          dtype: 'BF16',
          shape: [704, 256],
          file: 0,
          digest: `sha256:${'4'.repeat(64)}`,
          columns: 256,
          terms: [],
          quality: { squaredError: 9, squaredResidual: 25 },
        },
      ],
      removed: [],
      chunks: [],
    },
  };
}

function tensorDiff(fields: Partial<TensorDiff>): TensorDiff {
  return {
    name: 'model.layers.0.mlp.up_proj.weight',
    case: 'residual',
    dtype: 'BF16',
    shape: [704, 256],
    elementCount: 100,
    unchangedCount: 2,
    unchangedShare: 0.02,
    fineTunedByteLength: 200,
    squaredResidual: 3,
    relativeResidual: 0.117,
    spectrum: {
      knownRank: 64,
      complete: false,
      energyTop1: 0.1,
      energyTop8: 0.3,
      energyTop32: 0.6,
      effectiveRank: 186.2,
    },
    ...fields,
  };
}

export function diffReport(fields: Partial<DiffReport> = {}): DiffReport {
  const spectrum = { ...tensorDiff({}).spectrum!, energyTop1: 0.4, energyTop8: 0.5, energyTop32: 0.8 };
  const { spectrum: _, ...vector } = tensorDiff({
    name: 'model.norm.weight',
    case: 'vector',
    shape: [256],
    unchangedCount: 50,
    relativeResidual: 0.0133,
  });
  return {
    fineTunedByteLength: 9_909_200,
    elementCount: 300,
    unchangedCount: 55,
    unchangedShare: 55 / 300,
    changedTensorCount: 3,
    relativeResidual: 0.134,
    tensors: [
      tensorDiff({}),
      tensorDiff({
        name: 'model.layers.1.mlp.up_proj.weight',
        unchangedCount: 3,
        squaredResidual: 1,
        relativeResidual: 0.225,
        spectrum: { ...spectrum, effectiveRank: 9.5 },
      }),
      vector,
    ],
    added: ['adapter.weight'],
    removed: ['lm_head.weight'],
    shapeConflicts: [],
    sideFiles: [
      { path: 'config.json', status: 'changed' },
      { path: 'model.onnx', status: 'same' },
      { path: 'merges.txt', status: 'removed' },
    ],
    mismatches: [],
    estimates: [
      {
        budget: { kind: 'ratio', ratio: 0.01 },
        archiveByteLength: 150_000,
        ratio: 0.0151,
        relativeError: 1,
        reachable: false,
        extrapolated: false,
      },
      {
        budget: { kind: 'ratio', ratio: 0.06 },
        archiveByteLength: 594_000,
        ratio: 0.06,
        relativeError: 0.44,
        reachable: true,
        extrapolated: true,
      },
    ],
    warnings: [],
    gemmEngine: 'wasm',
    durationMs: 1300,
    ...fields,
  };
}

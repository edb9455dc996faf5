/**
 * Matrix products for the encoder. Which engine runs is no part of the archive format: decoding is
 * integer arithmetic (docs/spec), and only what the encoder writes is normative.
 * One engine on one machine gives the same bits for the same products; two engines do not.
 */
import type { MessagePort } from 'node:worker_threads';
import { UnsupportedError } from '../../formats/errors.js';
import { describeLoadFailure } from './describe-failure.js';
import { createDeviceEngine } from './device-engine.js';
import { createKernelEngine } from './kernel-engine.js';
import type { Matrix } from './matrix.js';
import { type OnnxRuntime, openOnnxruntimeEngine } from './onnxruntime-engine.js';

export interface MultiplyOptions {
  /** Use aᵀ. Default false. */
  readonly transposeA?: boolean;
  /** Use bᵀ. Default false. */
  readonly transposeB?: boolean;
  /** Where to put the product; must not share memory with `a` or `b`. Default: a new matrix. */
  readonly into?: Matrix;
  /** Add to what `into` holds. Default false. */
  readonly accumulate?: boolean;
}

export interface GemmEngine {
  /** Name and version, for reports: 'onnxruntime-node 1.30.0' or 'wasm'. */
  readonly name: string;
  /** op(a) · op(b), in float32. Returns `into` where it is given. Throws RangeError on shapes that do not fit. */
  multiply(a: Matrix, b: Matrix, options?: MultiplyOptions): Promise<Matrix>;
  /** aᵀ · a (columns × columns, row-major) with products and sums in float64. */
  gram(a: Matrix): Promise<Float64Array>;
  /** Frees native memory; the engine must not be used after it. */
  close(): Promise<void>;
}

/**
 * A float32 GEMM over contiguous row-major arrays: c (m × n) = op(a) · b, or c += op(a) · b when
 * `accumulate`. `a` is m × k, or k × m when `transA`; `b` is k × n.
 */
export type GemmKernel = (
  transA: boolean,
  m: number,
  n: number,
  k: number,
  a: Float32Array,
  b: Float32Array,
  c: Float32Array,
  accumulate: boolean,
) => void;

export interface OpenGemmEngineOptions {
  /** Threads inside one product. Default 1: the encoder runs one engine per worker, and sums stay in one order. */
  readonly threads?: number;
  /** 'auto' (default) takes onnxruntime-node where it loads, else the fallback with a warning. */
  readonly preferred?: 'auto' | 'onnxruntime' | 'wasm';
  /** The kernel to use without onnxruntime-node. */
  readonly fallback: GemmKernel;
  /** Loads onnxruntime-node; default: a dynamic import of the package. */
  readonly loadOnnxruntime?: () => Promise<OnnxRuntime>;
  /** A device for large products, from `openDevice`: its name and a port to it. Default: none. */
  readonly device?: { readonly name: string; readonly port: MessagePort };
}

export interface OpenedGemmEngine {
  readonly engine: GemmEngine;
  /** One sentence for the user when onnxruntime-node was wanted and could not be loaded. */
  readonly warning: string | undefined;
}

/** Opens the fastest engine there is. Throws UnsupportedError when 'onnxruntime' is asked for and does not load. */
export async function openGemmEngine(options: OpenGemmEngineOptions): Promise<OpenedGemmEngine> {
  const { engine: local, warning } = await openLocalEngine(options);
  const { device } = options;
  return { engine: device === undefined ? local : createDeviceEngine({ ...device, local }), warning };
}

async function openLocalEngine(options: OpenGemmEngineOptions): Promise<OpenedGemmEngine> {
  const { preferred = 'auto', threads = 1, fallback } = options;
  const load = options.loadOnnxruntime ?? (() => import('onnxruntime-node'));
  if (preferred === 'wasm')
    return { engine: createKernelEngine({ name: 'wasm', kernel: fallback }), warning: undefined };
  try {
    return { engine: await openOnnxruntimeEngine({ threads, load }), warning: undefined };
  } catch (cause) {
    const reason = describeLoadFailure(cause);
    if (preferred === 'onnxruntime') {
      throw new UnsupportedError(
        'onnxruntime-node',
        `the GEMM engine "onnxruntime" was asked for, but ${reason}`,
        { cause },
      );
    }
    return {
      engine: createKernelEngine({ name: 'wasm', kernel: fallback }),
      warning: `${reason}; encoding uses the WebAssembly GEMM instead, which is several times slower`,
    };
  }
}

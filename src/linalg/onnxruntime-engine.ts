/**
 * GEMM over onnxruntime-node, by one-node models built in memory (onnx-model.ts). The package is
 * optional and loaded by the caller's `load`. Products go straight into the caller's buffer: the
 * binding takes a preallocated tensor as fetch, so that nothing large is left to the garbage collector.
 */
import type { Device } from './devices.js';
import type { GemmEngine, MultiplyOptions } from './gemm-engine.js';
import { addInto, prepareProduct } from './gemm-shapes.js';
import { createMatrix, type Matrix, rowRange } from './matrix.js';
import { buildGemmModel, buildGramModel } from './onnx-model.js';

/** The runtime holds a float64 copy of what it is given: 2²⁰ elements = 8 MiB at a time. */
const gramChunkElements = 2 ** 20;

/**
 * The part of onnxruntime-node's interface that is used here. Spelled out, so that the package's
 * declarations do not need an optional dependency.
 */
export interface OnnxRuntime {
  readonly InferenceSession: {
    create(model: Uint8Array, options: Readonly<Record<string, unknown>>): Promise<OnnxSession>;
  };
  readonly Tensor: new (
    type: 'float32' | 'float64',
    data: Float32Array | Float64Array,
    dimensions: readonly number[],
  ) => object;
  readonly env: {
    readonly versions: { readonly common: string; readonly node?: string };
    /** Of the process; read when its first session is made. */
    logLevel?: 'verbose' | 'info' | 'warning' | 'error' | 'fatal' | undefined;
  };
}

interface OnnxSession {
  /** With a tensor in `fetches`, that output is written into the tensor's buffer. */
  run(feeds: Readonly<Record<string, object>>, fetches: Readonly<Record<string, object>>): Promise<unknown>;
  release(): Promise<void>;
}

/** Rejects with whatever `load` or the first session throws; nothing is left open then. */
export async function openOnnxruntimeEngine(options: {
  /** intraOpNumThreads of every session. */
  readonly threads: number;
  readonly load: () => Promise<OnnxRuntime>;
  /** Execution provider; default 'cpu'. Operands and products are in main memory, whatever it is. */
  readonly device?: Device;
}): Promise<GemmEngine> {
  const { device = 'cpu' } = options;
  const { InferenceSession, Tensor, env } = await options.load();
  env.logLevel = 'fatal'; // what fails is thrown; stderr is the program's
  const sessions = new Map<string, Promise<OnnxSession>>();
  const session = (key: string, build: () => Uint8Array): Promise<OnnxSession> => {
    let opened = sessions.get(key);
    if (opened === undefined) {
      opened = InferenceSession.create(build(), {
        executionProviders: [device],
        intraOpNumThreads: options.threads,
        interOpNumThreads: 1,
        executionMode: 'sequential',
        logSeverityLevel: 3,
      });
      sessions.set(key, opened);
    }
    return opened;
  };
  const gemmSession = (transposeA: boolean, transposeB: boolean) =>
    session(`gemm ${transposeA} ${transposeB}`, () => buildGemmModel({ transposeA, transposeB }));

  await gemmSession(false, false); // a native part that cannot run shows here, not in the middle of a file

  let spare: Float32Array<ArrayBuffer> | undefined; // taken out while in use, so that calls may overlap

  const engine: GemmEngine = {
    name: `onnxruntime-node ${env.versions.node ?? env.versions.common}${device === 'cpu' ? '' : `, ${device}`}`,

    async multiply(a: Matrix, b: Matrix, multiplyOptions: MultiplyOptions = {}): Promise<Matrix> {
      const { transposeA = false, transposeB = false, accumulate = false } = multiplyOptions;
      const { into, inner } = prepareProduct(a, b, multiplyOptions);
      if (into.data.length === 0 || inner === 0) {
        if (!accumulate) into.data.fill(0);
        return into;
      }
      let target = into.data;
      let scratch: Float32Array<ArrayBuffer> | undefined;
      if (accumulate) {
        scratch =
          spare !== undefined && spare.length >= target.length ? spare : new Float32Array(target.length);
        spare = undefined;
        target = scratch.subarray(0, target.length);
      }
      const running = await gemmSession(transposeA, transposeB);
      const product = new Tensor('float32', target, [into.rows, into.columns]);
      await running.run(
        {
          a: new Tensor('float32', a.data, [a.rows, a.columns]),
          b: new Tensor('float32', b.data, [b.rows, b.columns]),
        },
        { c: product },
      );
      if (scratch !== undefined) {
        addInto(into.data, target);
        spare = scratch;
      }
      return into;
    },

    async gram(a: Matrix): Promise<Float64Array> {
      const { rows, columns } = a;
      const sum = new Float64Array(columns * columns);
      if (sum.length === 0 || rows === 0) return sum;
      const running = await session('gram', buildGramModel);
      const step = Math.max(1, Math.min(rows, Math.floor(gramChunkElements / columns)));
      const part = step >= rows ? sum : new Float64Array(sum.length);
      for (let start = 0; start < rows; start += step) {
        const chunk = rowRange(a, start, Math.min(start + step, rows));
        await running.run(
          { a: new Tensor('float32', chunk.data, [chunk.rows, columns]) },
          { c: new Tensor('float64', part, [columns, columns]) },
        );
        if (part !== sum) addInto(sum, part);
      }
      return sum;
    },

    async close(): Promise<void> {
      const opened = [...sessions.values()];
      sessions.clear();
      spare = undefined;
      for (const one of opened) await (await one).release();
    },
  };
  await probeFetches(engine);
  return engine;
}

/** The engine relies on products landing in the given buffer; a binding that returns a copy instead must not pass. */
async function probeFetches(engine: GemmEngine): Promise<void> {
  const two = createMatrix(1, 1, Float32Array.of(2));
  const into = createMatrix(1, 1);
  await engine.multiply(two, two, { into });
  if (into.data[0] !== 4) {
    await engine.close();
    throw new Error('the runtime does not write products into a preallocated output');
  }
}

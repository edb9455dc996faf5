/** Devices for matrix products: what is said when one is missing, and what travels to one that is there. */
import { afterEach, describe, expect, test } from 'vitest';
import { isEreError } from '../../formats/errors.js';
import { describeDeviceFailure } from '../../src/linalg/describe-failure.js';
import { createDeviceEngine } from '../../src/linalg/device-engine.js';
import { openDevice, openDeviceThread } from '../../src/linalg/device-thread.js';
import { assertDevice } from '../../src/linalg/devices.js';
import { type GemmEngine, openGemmEngine } from '../../src/linalg/gemm-engine.js';
import { createMatrix } from '../../src/linalg/matrix.js';
import { assertVulkan } from '../../src/linalg/probe-device.js';
import { sketchMatrix } from '../../src/linalg/sketch.js';
import { plainGemm } from './plain-gemm.js';

type Thread = Extract<Awaited<ReturnType<typeof openDeviceThread>>, { readonly name: unknown }>;

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/**
 * A runtime whose sessions multiply by the definition.
 * @param fields statements before a session is made and before it runs, and what becomes of an operand's element
 */
function fakeRuntime(
  fields: { readonly create?: string; readonly run?: string; readonly read?: string } = {},
) {
  const { create = '', run = '', read = 'x' } = fields;
  const source = `
    export const env = { versions: { common: '0', node: '9.9.9' } };
    export class Tensor { constructor(type, data, dims) { Object.assign(this, { data, dims }); } }
    const read = (x) => ${read};
    export const InferenceSession = { async create(model, options) { ${create}
      return { async release() {}, async run({ a, b }, { c }) { ${run}
        const [m, k] = a.dims, n = b.dims[1];
        for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let p = 0; p < k; p++) sum += read(a.data[i * k + p]) * read(b.data[p * n + j]);
          c.data[i * n + j] = sum;
        }
      } };
    } };`;
  return `data:text/javascript,${encodeURIComponent(source)}`;
}

async function openThread(init: Parameters<typeof openDeviceThread>[0]): Promise<Thread> {
  const thread = await openDeviceThread(init);
  if ('failure' in thread) throw new Error(thread.failure);
  closing.push(thread.close);
  return thread;
}

async function engineOver(thread: Thread, sends?: () => boolean): Promise<GemmEngine> {
  const { engine: local } = await openGemmEngine({ fallback: plainGemm, preferred: 'wasm' });
  const port = thread.connect()!;
  const engine = createDeviceEngine({ name: thread.name!, port, local, ...(sends ? { sends } : {}) });
  closing.push(() => engine.close());
  return engine;
}

const multiplyOnes = (engine: GemmEngine, n: number) => {
  const ones = createMatrix(n, n, new Float32Array(n * n).fill(1));
  return engine.multiply(ones, ones);
};

describe('a device that is not there', () => {
  test('is one line that names it, the reason and what is done instead, or it is there', async () => {
    for (const name of ['webgpu', 'cuda'] as const) {
      const device = await openDevice(name);
      closing.push(device.close);
      if (device.name !== undefined) {
        expect(device.name).toContain(name);
        expect(device.warning).toBeUndefined();
        continue;
      }
      expect(device.warning).toMatch(
        /^device "(webgpu|cuda)" is not available: [^\n]+; matrix products run on the CPU$/,
      );
      expect(device.connect()).toBeUndefined();
    }
  });

  test('what the runtime throws for a GPU that is missing becomes the reason', async () => {
    const message =
      '/onnxruntime_src/onnxruntime/core/providers/webgpu/webgpu_context.cc:136 Initialize(const Config&)::<lambda()> ' +
      'adapter_result.status == wgpu::RequestAdapterStatus::Success was false. Failed to get a WebGPU adapter: No supported adapters\n';
    expect(describeDeviceFailure('webgpu', new Error(message))).toBe(
      'Failed to get a WebGPU adapter: No supported adapters',
    );
    const runtime = fakeRuntime({ create: `throw new Error(${JSON.stringify(message)});` });
    expect(await openDeviceThread({ device: 'cuda', runtime })).toEqual({
      failure: 'Failed to get a WebGPU adapter: No supported adapters',
    });
  });

  test('a missing CUDA library says what to install', () => {
    const error = new Error('OrtSessionOptionsAppendExecutionProvider_Cuda: Failed to load shared library');
    expect(describeDeviceFailure('cuda', error)).toMatch(/CUDA provider .* is missing .*CUDA 12 and cuDNN 9/);
  });

  test('a missing package is called that', async () => {
    const runtime = `data:text/javascript,${encodeURIComponent(
      "throw Object.assign(new Error(\"Cannot find package 'onnxruntime-node' imported from ere\"), { code: 'ERR_MODULE_NOT_FOUND' });",
    )}`;
    expect(await openDeviceThread({ device: 'cuda', runtime })).toEqual({
      failure: 'the optional package onnxruntime-node is not installed',
    });
  });

  test('a native part that ends the thread is a reason too', async () => {
    const runtime = fakeRuntime({ create: 'process.exit(7);' });
    expect(await openDeviceThread({ device: 'cuda', runtime })).toEqual({
      failure: 'its thread stopped with exit code 7',
    });
  });

  test('a missing Vulkan loader is found without asking WebGPU, on Linux alone', () => {
    expect(() => assertVulkan('libno-such-loader.so.1', 'linux')).toThrow(
      'the Vulkan loader libno-such-loader.so.1 is not there',
    );
    expect(() => assertVulkan('libno-such-loader.so.1', 'win32')).not.toThrow();
    if (process.platform === 'linux') expect(() => assertVulkan('libc.so.6')).not.toThrow();
  });
});

describe('a device that is there', () => {
  test('multiplies for several threads, and is named with its provider', async () => {
    const thread = await openThread({ device: 'cuda', runtime: fakeRuntime() });
    expect(thread.name).toBe('onnxruntime-node 9.9.9, cuda');
    const engines = [await engineOver(thread, () => true), await engineOver(thread, () => true)];
    const products = await Promise.all(
      engines.flatMap((engine) => [multiplyOnes(engine, 3), multiplyOnes(engine, 5)]),
    );
    expect(products.map(({ data }) => data[0])).toEqual([3, 5, 3, 5]);
  });

  test('operands stay the caller’s, and a product is added where it is asked for', async () => {
    const engine = await engineOver(await openThread({ device: 'cpu' }), () => true);
    const buffer = new Float32Array(8).fill(1);
    const a = createMatrix(2, 2, buffer.subarray(2, 6));
    const into = createMatrix(2, 2, new Float32Array(4).fill(10));
    expect(await engine.multiply(a, a, { into, accumulate: true, transposeA: true })).toBe(into);
    expect([...into.data]).toEqual([12, 12, 12, 12]);
    expect([...buffer]).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
  });

  test('products that are not worth the journey, and those in float64, stay in the thread', async () => {
    const refusing = fakeRuntime({
      run: "if (a.dims[0] !== 1 && a.dims[0] !== 256) throw new Error('asked');",
    });
    const engine = await engineOver(await openThread({ device: 'cuda', runtime: refusing }));
    expect((await multiplyOnes(engine, 64)).data[0]).toBe(64);
    const tall = sketchMatrix(40_000, 64, 1);
    expect((await engine.multiply(tall, sketchMatrix(64, 16, 2))).rows).toBe(40_000); // few columns
    expect((await engine.gram(tall)).length).toBe(64 * 64);
    const square = sketchMatrix(512, 512, 3);
    await expect(engine.multiply(square, square)).rejects.toThrow('asked');
  });

  test('a product that fails on it is an UnsupportedError that says what to do, and the device goes on', async () => {
    const runtime = fakeRuntime({ run: "if (a.dims[0] === 2) throw new Error('out of memory\\nmore');" });
    const engine = await engineOver(await openThread({ device: 'cuda', runtime }), () => true);
    const error = await multiplyOnes(engine, 2).catch((caught: unknown) => caught);
    expect(isEreError(error, 'ERE_UNSUPPORTED')).toBe(true);
    expect((error as Error).message).toBe(
      'a matrix product failed on onnxruntime-node 9.9.9, cuda: out of memory; run again with the device "cpu"',
    );
    expect((await multiplyOnes(engine, 3)).data[0]).toBe(3);
  });

  test('a thread that stops fails what waits for it and what comes after', async () => {
    const runtime = fakeRuntime({ run: 'if (a.dims[0] === 2) process.exit(1);' });
    const engine = await engineOver(await openThread({ device: 'cuda', runtime }), () => true);
    await expect(multiplyOnes(engine, 2)).rejects.toThrow(/its thread has stopped/);
    await expect(multiplyOnes(engine, 3)).rejects.toThrow(/its thread has stopped/);
  });

  test('products of operands cut to fewer bits are refused', async () => {
    // TF32: 10 bits behind the leading one.
    const runtime = fakeRuntime({ read: 'Math.round(x * 1024) / 1024' });
    expect(await openDeviceThread({ device: 'cuda', runtime })).toEqual({
      failure: 'its products are not those of float32',
    });
  });
});

test('a device that does not exist, and one beside the WebAssembly products, is a TypeError', () => {
  expect(() => assertDevice({ device: 'tpu' as 'cuda' })).toThrow(
    new TypeError('expected a device of cpu, webgpu, cuda, got tpu'),
  );
  expect(() => assertDevice({ device: 'cuda', gemm: 'wasm' })).toThrow(TypeError);
  assertDevice({ device: 'cpu', gemm: 'wasm' });
  assertDevice({});
});

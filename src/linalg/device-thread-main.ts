/**
 * Entry of the one thread that holds a device. It answers products in the order in which they arrive, whoever asks:
 * a GPU runs one large product at a time anyway, one session needs one working memory on it, and the runtime's WebGPU
 * provider must not be entered by two threads at once.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { describeDeviceFailure, firstLine } from './describe-failure.js';
import type {
  DeviceThreadInit,
  DeviceThreadOrder,
  DeviceThreadStart,
  ProductReply,
  ProductRequest,
} from './device-protocol.js';
import type { GemmEngine } from './gemm-engine.js';
import { createMatrix } from './matrix.js';
import { type OnnxRuntime, openOnnxruntimeEngine } from './onnxruntime-engine.js';
import { assertFloat32Products, assertVulkan } from './probe-device.js';

const { device, runtime: runtimeUrl } = workerData as DeviceThreadInit;
const parent = parentPort!;

async function openDeviceEngine(): Promise<GemmEngine> {
  if (device === 'webgpu') assertVulkan();
  // The runtime's default is TF32 on NVIDIA GPUs since Ampere: operands cut to 11 bits. This is NVIDIA's own switch.
  if (device === 'cuda') process.env.NVIDIA_TF32_OVERRIDE ??= '0';
  const load = async (): Promise<OnnxRuntime> =>
    runtimeUrl === undefined ? import('onnxruntime-node') : import(runtimeUrl);
  const engine = await openOnnxruntimeEngine({ threads: 1, device, load });
  await assertFloat32Products(engine);
  return engine;
}

/** Product after product, over all ports. */
let last: Promise<void> = Promise.resolve();

function serve(engine: GemmEngine, port: MessagePort): void {
  port.on('message', (request: ProductRequest) => {
    last = last.then(async () => {
      const reply = await answer(engine, request);
      port.postMessage(reply, 'product' in reply ? [reply.product.buffer] : []);
    });
  });
}

async function answer(engine: GemmEngine, request: ProductRequest): Promise<ProductReply> {
  const { id, a, b, transposeA, transposeB } = request;
  try {
    const into = createMatrix(transposeA ? a.columns : a.rows, transposeB ? b.rows : b.columns);
    await engine.multiply(a, b, { transposeA, transposeB, into });
    return { id, product: into.data as Float32Array<ArrayBuffer> };
  } catch (error) {
    return { id, failure: firstLine(error) };
  }
}

async function main(): Promise<void> {
  const say = (start: DeviceThreadStart): void => parent.postMessage(start);
  let engine: GemmEngine;
  try {
    engine = await openDeviceEngine();
  } catch (error) {
    say({ failure: describeDeviceFailure(device, error) });
    parent.close();
    return;
  }
  parent.on('message', async (order: DeviceThreadOrder) => {
    if (order !== 'close') return serve(engine, order.port);
    await last;
    await engine.close();
    process.exit(0); // of this thread alone; its ports close with it
  });
  say({ name: engine.name });
}

await main();

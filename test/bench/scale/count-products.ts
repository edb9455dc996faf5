/**
 * Preloaded (`--import`) into every thread of a measured `ere`: counts the products that worker threads give to
 * onnxruntime-node, and writes them as ThreadProducts into the folder that the main thread names, when a thread ends.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { getEnvironmentData, isMainThread, threadId } from 'node:worker_threads';
import { type ProductCount, SLICE_MS, shapeKey } from './products.js';

/** Key of the environment data that holds the folder. */
export const PRODUCTS_FOLDER = 'ere-bench-products';

interface Operand {
  readonly type: string;
  readonly size: number;
  readonly dims: readonly number[];
}

type Run = (feeds: { a: Operand }, fetches: { c: Operand }) => Promise<unknown>;

const folder = getEnvironmentData(PRODUCTS_FOLDER);
if (!isMainThread && typeof folder === 'string') await countProducts(folder);

async function countProducts(into: string): Promise<void> {
  const runtime = await import('onnxruntime-node').catch(() => undefined);
  if (runtime === undefined) return; // WebAssembly products are not counted.
  const { prototype } = runtime.InferenceSession as unknown as { readonly prototype: { run: Run } };
  const { run } = prototype;
  const shapes = new Map<string, { -readonly [K in keyof ProductCount]: ProductCount[K] }>();
  const slices = new Map<number, number>();
  prototype.run = async function (feeds, fetches) {
    const started = performance.now();
    const result = await run.call(this, feeds, fetches);
    const ended = performance.now();
    const { a } = feeds;
    const { dims, type } = fetches.c;
    const [m, n] = dims as [number, number];
    const shape = { kind: type === 'float64' ? 'gram' : 'gemm', m, k: a.size / m, n } as const;
    const key = shapeKey(shape);
    const count = shapes.get(key) ?? { ...shape, flops: 0, durationMs: 0 };
    shapes.set(key, count);
    const flops = 2 * m * shape.k * n;
    count.flops += flops;
    count.durationMs += ended - started;
    const slice = Math.floor((performance.timeOrigin + ended) / SLICE_MS);
    slices.set(slice, (slices.get(slice) ?? 0) + flops);
    return result;
  };
  process.once('exit', () => {
    const products = {
      shapes: [...shapes.values()],
      slices: [...slices].map(([slice, flops]) => ({ atEpochMs: slice * SLICE_MS, flops })),
    };
    writeFileSync(join(into, `products-${threadId}.json`), JSON.stringify(products));
  });
}

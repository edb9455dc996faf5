/**
 * GEMM engine over a device in another thread (device-thread.ts): large products travel to it and back, small ones
 * and those in float64, which WebGPU does not have, run on this thread's own engine.
 */
import type { MessagePort } from 'node:worker_threads';
import { UnsupportedError } from '../../formats/errors.js';
import type { ProductReply, ProductRequest } from './device-protocol.js';
import type { GemmEngine, MultiplyOptions } from './gemm-engine.js';
import { addInto, prepareProduct } from './gemm-shapes.js';
import type { Matrix } from './matrix.js';

/** Multiply-adds in a fifth of a millisecond of one core, which is what two messages take. */
const LEAST_MULTIPLY_ADDS = 2 ** 23;
/**
 * Multiply-adds for each element that has to travel. Copying goes at about a G elements/s, of which a core does
 * 30 G multiply-adds in the same time; below this the journey takes longer than the product.
 */
const LEAST_INTENSITY = 32;

/** Whether m × k times k × n is worth the journey. By the shape alone, so that equal inputs give equal bytes. */
function isWorthIt(m: number, n: number, k: number): boolean {
  const multiplyAdds = m * n * k;
  return multiplyAdds >= LEAST_MULTIPLY_ADDS && multiplyAdds >= LEAST_INTENSITY * (m * k + k * n + m * n);
}

interface Waiting {
  readonly resolve: (product: Float32Array<ArrayBuffer>) => void;
  readonly reject: (error: Error) => void;
}

/** Takes over the port and the local engine: closing it closes both. */
export function createDeviceEngine(options: {
  readonly name: string;
  readonly port: MessagePort;
  readonly local: GemmEngine;
  /** Products m × k times k × n to send, none of them empty; default: those that are worth it. */
  readonly sends?: (m: number, n: number, k: number) => boolean;
}): GemmEngine {
  const { name, port, local, sends = isWorthIt } = options;
  const waiting = new Map<number, Waiting>();
  let nextId = 0;
  let isClosed = false;
  const failed = (reason: string): UnsupportedError =>
    new UnsupportedError(
      name,
      `a matrix product failed on ${name}: ${reason}; run again with the device "cpu"`,
    );
  port.on('message', (reply: ProductReply) => {
    const { resolve, reject } = waiting.get(reply.id)!;
    waiting.delete(reply.id);
    if (waiting.size === 0) port.unref();
    if ('failure' in reply) reject(failed(reply.failure));
    else resolve(reply.product);
  });
  port.on('close', () => {
    isClosed = true;
    for (const { reject } of waiting.values()) reject(failed('its thread has stopped'));
    waiting.clear();
  });
  port.unref();

  const product = (request: Omit<ProductRequest, 'id'>): Promise<Float32Array<ArrayBuffer>> =>
    new Promise((resolve, reject) => {
      if (isClosed) return reject(failed('its thread has stopped'));
      const id = nextId++;
      waiting.set(id, { resolve, reject });
      port.ref(); // a thread that waits must not end
      const { a, b } = request;
      port.postMessage({ id, ...request } satisfies ProductRequest, [a.data.buffer, b.data.buffer]);
    });

  return {
    name,

    async multiply(a: Matrix, b: Matrix, multiplyOptions: MultiplyOptions = {}): Promise<Matrix> {
      const { transposeA = false, transposeB = false, accumulate = false } = multiplyOptions;
      const { into, inner } = prepareProduct(a, b, multiplyOptions);
      const isEmpty = into.data.length === 0 || inner === 0;
      if (isEmpty || !sends(into.rows, into.columns, inner)) {
        return local.multiply(a, b, { ...multiplyOptions, into });
      }
      const data = await product({ a: copy(a), b: copy(b), transposeA, transposeB });
      if (accumulate) addInto(into.data, data);
      else into.data.set(data);
      return into;
    },

    gram: (a) => local.gram(a),

    async close(): Promise<void> {
      port.close();
      await local.close();
    },
  };
}

/** With a buffer of its own, to be given away. */
function copy({ rows, columns, data }: Matrix): ProductRequest['a'] {
  return { rows, columns, data: new Float32Array(data) };
}

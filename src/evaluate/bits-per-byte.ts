/**
 * Quality of a byte-level language model: the mean number of bits that the model needs for the next
 * byte of held-out text, −log2 p(byte | bytes before it in its sequence). 8 is no model at all.
 *
 * The model is an ONNX graph `model.onnx` whose initializers are external data inside the
 * `model.safetensors` beside it, so the graph runs on any decoded file with the same layout.
 * Graph input `input_ids` int64 [batch, length], output `logits` float32 [batch, length, 256].
 */
import { join } from 'node:path';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { EreError, FormatError, NotFoundError } from '../../formats/errors.js';
import { loadOnnxRuntime } from './onnx-runtime.js';

const VOCABULARY = 256;
const INPUT = 'input_ids';
const OUTPUT = 'logits';

export interface BitsPerByteOptions {
  /** Bytes that the model sees at once; the text is cut into sequences of this length. Default 256. */
  readonly sequenceByteLength?: number;
  /** Sequences per run of the graph, which bounds memory. Default 8. */
  readonly batchSize?: number;
  /** Threads of onnxruntime; default: its own choice. */
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

export interface BitsPerByteReport {
  readonly bitsPerByte: number;
  /** Bytes that were predicted: all but the first of every sequence. */
  readonly byteCount: number;
  readonly sequenceCount: number;
}

/**
 * Runs the model in a folder over `text` and returns its bits per byte.
 * @param modelFolder Folder that holds model.onnx and model.safetensors.
 * @param text Held-out bytes, sequences of `sequenceByteLength` back to back.
 * @throws UnsupportedError without onnxruntime-node; NotFoundError without model.onnx; FormatError
 * when the graph does not run or has another interface; RangeError for a text that is not whole sequences.
 */
export async function bitsPerByte(
  modelFolder: string,
  text: Uint8Array,
  options: BitsPerByteOptions = {},
): Promise<BitsPerByteReport> {
  const { sequenceByteLength = 256, batchSize = 8, threads, signal } = options;
  assertAtLeast('sequenceByteLength', sequenceByteLength, 2);
  assertAtLeast('batchSize', batchSize, 1);
  if (text.byteLength === 0 || text.byteLength % sequenceByteLength !== 0) {
    throw new RangeError(`text: expected a multiple of ${sequenceByteLength} bytes, got ${text.byteLength}`);
  }
  const runtime = await loadOnnxRuntime();
  const path = join(modelFolder, 'model.onnx');
  const session = await openSession(runtime.InferenceSession, path, threads);
  try {
    const sequenceCount = text.byteLength / sequenceByteLength;
    let bits = 0;
    for (let first = 0; first < sequenceCount; first += batchSize) {
      throwIfAborted(signal);
      const count = Math.min(batchSize, sequenceCount - first);
      const batch = text.subarray(first * sequenceByteLength, (first + count) * sequenceByteLength);
      const ids = new runtime.Tensor('int64', BigInt64Array.from(batch, BigInt), [count, sequenceByteLength]);
      const logits = logitsOf(
        await runGraph(session, ids, path),
        [count, sequenceByteLength, VOCABULARY],
        path,
      );
      bits += bitsOfBatch(logits, batch, sequenceByteLength);
    }
    const byteCount = sequenceCount * (sequenceByteLength - 1);
    return { bitsPerByte: bits / byteCount, byteCount, sequenceCount };
  } finally {
    await session.release();
  }
}

/**
 * Σ −log2 softmax(logits)[next byte] over a batch, in float64.
 * @param logits batch × length × 256, row-major. @param bytes batch × length.
 */
export function bitsOfBatch(logits: Float32Array, bytes: Uint8Array, sequenceByteLength: number): number {
  let nats = 0;
  for (let position = 0; position < bytes.length; position += 1) {
    if (position % sequenceByteLength === sequenceByteLength - 1) continue; // nothing follows the last byte
    const row = logits.subarray(position * VOCABULARY, (position + 1) * VOCABULARY);
    let largest = Number.NEGATIVE_INFINITY;
    for (const logit of row) largest = Math.max(largest, logit);
    let sum = 0;
    for (const logit of row) sum += Math.exp(logit - largest);
    // In this order nothing cancels, however large the logits are.
    nats += Math.log(sum) - (row[bytes[position + 1]!]! - largest);
  }
  return nats / Math.LN2;
}

async function openSession(
  factory: typeof InferenceSession,
  path: string,
  threads: number | undefined,
): Promise<InferenceSession> {
  try {
    // Warnings of the graph optimiser are noise here: severity 3 is errors only.
    return await factory.create(path, {
      logSeverityLevel: 3,
      ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (reason.includes("doesn't exist")) {
      throw new NotFoundError(`${path}: expected an ONNX graph to evaluate, found no such file`, { cause });
    }
    throw new FormatError('onnx', `onnxruntime could not load the model: ${reason}`, { file: path, cause });
  }
}

async function runGraph(session: InferenceSession, ids: Tensor, path: string): Promise<Tensor | undefined> {
  if (session.inputNames.join() !== INPUT || !session.outputNames.includes(OUTPUT)) {
    throw new FormatError(
      'onnx',
      `expected input ${INPUT} and output ${OUTPUT}, ` +
        `found inputs ${session.inputNames.join(', ')} and outputs ${session.outputNames.join(', ')}`,
      { file: path },
    );
  }
  try {
    return (await session.run({ [INPUT]: ids }, [OUTPUT]))[OUTPUT];
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FormatError('onnx', `the graph does not run: ${reason}`, { file: path, cause });
  }
}

function logitsOf(tensor: Tensor | undefined, shape: readonly number[], path: string): Float32Array {
  if (tensor?.data instanceof Float32Array && tensor.dims.join() === shape.join()) return tensor.data;
  throw new FormatError(
    'onnx',
    `${OUTPUT}: expected float32 [${shape.join(', ')}], found ${tensor?.type} [${tensor?.dims.join(', ')}]`,
    { file: path },
  );
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new EreError('ERE_ABORTED', 'evaluation was aborted', { cause: signal.reason });
}

function assertAtLeast(name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw new RangeError(`${name}: expected an integer of at least ${least}, got ${value}`);
  }
}

/** Web Workers that decode tensors, each with kernels and open sources of its own. */
import type { Digest } from '../../formats/ere/archive-index.js';
import { fromTransferredError, type TransferredError } from '../io/error-transfer.js';
import type { DecodedTensor } from '../residual/api.js';
import type { Selection } from '../residual/select-tensors.js';

/** What workers open for themselves: URLs and Blobs. */
export interface WorkerInit {
  readonly archive: string | Blob;
  readonly base: readonly (string | Blob)[];
  /** Of the decoded checkpoint: that it is the same archive. */
  readonly digest: Digest;
  readonly selection: Selection;
}

/** To a worker: first what to open, then numbers of tensors, one at a time. */
export type WorkerRequest = WorkerInit | number;

/** From a worker: null when it has loaded and listens; then one answer a tensor. */
export type WorkerAnswer = null | { readonly tensor: DecodedTensor } | { readonly error: TransferredError };

export interface DecodeWorkers {
  /** Decodes tensor `number` on the next worker that is free. */
  decode(number: number): Promise<DecodedTensor>;
  /** Ends the workers; what they had in work is rejected. */
  close(): void;
}

/** Undefined where workers are not available: there are none, or a policy keeps their script from loading. */
export async function openDecodeWorkers(init: WorkerInit, count: number): Promise<DecodeWorkers | undefined> {
  if (typeof Worker === 'undefined') return undefined;
  const started: Worker[] = [];
  try {
    await Promise.all(
      Array.from({ length: count }, async () => {
        // In this form bundlers know it for a worker's script, and take it along.
        const worker = new Worker(new URL('./worker-main.js', import.meta.url), { type: 'module' });
        started.push(worker);
        await answerOf(worker);
        worker.postMessage(init satisfies WorkerRequest);
      }),
    );
  } catch {
    for (const worker of started) worker.terminate();
    return undefined;
  }
  return new WorkerPool(started);
}

function answerOf(worker: Worker): Promise<WorkerAnswer> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(`a worker failed: ${event.message ?? 'its script did not load'}`));
    };
  });
}

class WorkerPool implements DecodeWorkers {
  readonly #workers: readonly Worker[];
  readonly #free: Worker[];
  readonly #waiting: ((worker: Worker) => void)[] = [];
  /** Rejects when the workers are ended. */
  readonly #closed: Promise<never>;
  #rejectClosed!: (error: Error) => void;

  constructor(workers: readonly Worker[]) {
    this.#workers = workers;
    this.#free = [...workers];
    this.#closed = new Promise((_, reject) => {
      this.#rejectClosed = reject;
    });
    this.#closed.catch(() => {});
  }

  async decode(number: number): Promise<DecodedTensor> {
    const worker = this.#free.pop() ?? (await this.#next());
    const answered = Promise.race([answerOf(worker), this.#closed]);
    worker.postMessage(number satisfies WorkerRequest);
    const answer = await answered;
    this.#give(worker);
    if (answer === null) throw new TypeError('expected a tensor of a worker, got its greeting');
    if ('error' in answer) throw fromTransferredError(answer.error);
    return answer.tensor;
  }

  close(): void {
    for (const worker of this.#workers) worker.terminate();
    this.#rejectClosed(new Error('the workers were ended'));
  }

  #next(): Promise<Worker> {
    const free = new Promise<Worker>((resolve) => this.#waiting.push(resolve));
    return Promise.race([free, this.#closed]);
  }

  #give(worker: Worker): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#free.push(worker);
    else waiting(worker);
  }
}

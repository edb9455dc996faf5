/** The browser's Worker over one of Node's threads, as far as ere/web uses it. */
import { Worker as NodeWorker } from 'node:worker_threads';

/** What a page's script would find in a worker's scope. */
const SCOPE = `
  const { parentPort, workerData } = require('node:worker_threads');
  globalThis.postMessage = (message, transfer) => parentPort.postMessage(message, transfer);
  import(workerData).then(() => parentPort.on('message', (data) => globalThis.onmessage({ data })));
`;

export class WebWorker {
  /** Those that were made and not ended. */
  static readonly running = new Set<WebWorker>();
  onmessage: (event: { data: unknown }) => void = () => {};
  onerror: (event: { message: string; preventDefault(): void }) => void = () => {};
  readonly #worker: NodeWorker;

  constructor(url: URL) {
    this.#worker = new NodeWorker(SCOPE, { eval: true, workerData: url.href });
    this.#worker.on('message', (data) => this.onmessage({ data }));
    this.#worker.on('error', ({ message }) => this.onerror({ message, preventDefault() {} }));
    WebWorker.running.add(this);
  }

  postMessage(message: unknown): void {
    this.#worker.postMessage(message);
  }

  terminate(): void {
    WebWorker.running.delete(this);
    void this.#worker.terminate();
  }
}

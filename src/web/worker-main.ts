/** The script of a decoding worker: opens the sources it is told, then decodes the tensors it is asked for. */
import { IntegrityError } from '../../formats/errors.js';
import { toTransferredError } from '../io/error-transfer.js';
import type { DecodedTensor } from '../residual/api.js';
import { decodeWholeTensor, type TensorSources } from './decode-tensor.js';
import { loadDecodeKernels } from './load-kernels.js';
import { openArchive } from './open-archive.js';
import { openBase } from './open-base.js';
import type { WorkerAnswer, WorkerInit, WorkerRequest } from './worker-pool.js';

/** The part of a worker's global scope that is used; `lib.dom` describes a page's. */
interface WorkerScope {
  onmessage: (event: { readonly data: WorkerRequest }) => void;
  postMessage(answer: WorkerAnswer, transfer?: Transferable[]): void;
}

const scope = globalThis as unknown as WorkerScope;
let sources: Promise<TensorSources> | undefined;

async function open({ archive, base, digest, selection }: WorkerInit): Promise<TensorSources> {
  const [opened, checkpoint, kernels] = await Promise.all([
    openArchive(archive),
    openBase(base.length === 1 ? base[0]! : base),
    loadDecodeKernels(),
  ]);
  const found = opened.index.decoded.digest;
  if (found !== digest) {
    const subject = `${opened.source.name}, identity of the decoded checkpoint`;
    throw new IntegrityError(subject, digest, found, 'it has changed since it was opened: open it again');
  }
  return { archive: opened, base: checkpoint, kernels, selection };
}

function answer(tensor: DecodedTensor): void {
  scope.postMessage({ tensor }, [tensor.bytes.buffer as ArrayBuffer]);
}

scope.onmessage = ({ data }) => {
  if (typeof data !== 'number') {
    sources = open(data);
    sources.catch(() => {}); // Told to whoever asks for a tensor.
    return;
  }
  sources!
    .then((opened) => decodeWholeTensor(opened, data))
    .then(answer)
    .catch((error: unknown) => scope.postMessage({ error: toTransferredError(error) }));
};
scope.postMessage(null);

/** An archive whose matrices share one basis, put together from an encoded group: decoded by nothing of src. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArchiveTensor, Digest } from '../../formats/ere/archive-index.js';
import { decodedIdentities } from '../../formats/ere/levels.js';
import { parseIndex } from '../../formats/ere/parse-index.js';
import { archiveBytes, ChunkCollector } from '../../formats/ere/write-archive.js';
import type { EncodedTerm } from '../../src/codecs/codec.js';
import { encode } from '../../src/index.js';
import { openGemmEngine } from '../../src/linalg/gemm-engine.js';
import { createMatrix, squaredNorm } from '../../src/linalg/matrix.js';
import { streamMatrix } from '../../src/linalg/matrix-stream.js';
import { stackRows } from '../../src/linalg/stack-rows.js';
import { truncatedSvd } from '../../src/linalg/truncated-svd.js';
import { EFFORTS, LAMBDA } from '../../src/rate-distortion/efforts.js';
import { encodeGroup } from '../../src/rate-distortion/encode-group.js';
import { wasm } from '../kernels/samples.js';
import { plainGemm } from '../linalg/plain-gemm.js';
import { digestOf } from './archive-builder.js';
import { decodeTensorIndependently, readArchive } from './independent-decoder.js';
import { type Model, QUICK, valuesOf, writeModel } from './models.js';

/**
 * Encodes the pair on disk, then puts one group in the place of what its matrices were coded as.
 * @param basePath folder of `models.base`, written already; all tensors are matrices of the same columns
 */
export async function sharedBasisArchive(
  models: { readonly base: Model; readonly fineTuned: Model },
  basePath: string,
  folder: string,
  step: number,
): Promise<Uint8Array> {
  const [tuned, output] = [join(folder, 'tuned'), join(folder, 'single.ere')];
  await writeModel(tuned, models.fineTuned);
  await encode(tuned, {
    ...QUICK,
    base: basePath,
    output,
    budget: { kind: 'max-error', relativeError: 0.5 },
  });
  const single = readArchive(await readFile(output));
  const index = parseIndex(Buffer.from(JSON.stringify(single.index)), { file: output });

  const matrices = models.fineTuned.tensors.map((tensor, t) => {
    const base = valuesOf(models.base.tensors[t]!);
    const residual = valuesOf(tensor).map((value, i) => value - base[i]!);
    return createMatrix(tensor.shape[0]!, tensor.shape[1]!, residual);
  });
  const { engine } = await openGemmEngine({ fallback: plainGemm, preferred: 'wasm' });
  const members = matrices.map((matrix) => ({ stream: streamMatrix(matrix), energy: squaredNorm(matrix) }));
  const stack = stackRows(members.map(({ stream }) => stream));
  const factors = (maxRank: number) => truncatedSvd(stack, { maxRank, engine });
  const encoding = { step, lambda: LAMBDA, ...EFFORTS.default };
  const group = await encodeGroup({ members, factors }, encoding, wasm, engine);

  const collector = new ChunkCollector();
  const files = index.files.map((file) => ({
    ...file,
    header: { ...file.header, chunk: collector.add(single.chunks[file.header.chunk]!) },
  }));
  const numbers = new Map<Uint8Array, number>();
  const place = ({ codec, params, chunks }: EncodedTerm) => ({
    codec,
    chunks: chunks.map(({ bytes }) => {
      const number = numbers.get(bytes) ?? collector.add(bytes);
      numbers.set(bytes, number);
      return number;
    }),
    errorDrops: chunks.map(({ squaredErrorDrop }) => squaredErrorDrop),
    params,
  });
  const tensors = index.tensors.map((tensor, t): ArchiveTensor => {
    const { terms, squaredError } = group.members[t]!;
    const coded = { ...tensor, terms: terms.map(place) };
    const chunks = collector.chunks.map(({ bytes }) => bytes);
    const decoded = decodeTensorIndependently(coded, chunks, models.base.tensors[t]!.data);
    const quality = { squaredError, squaredResidual: members[t]!.energy };
    return { ...coded, digest: digestOf(decoded) as Digest, quality };
  });
  return archiveBytes(
    {
      ...index,
      encoding: {},
      decoded: { ...index.decoded, ...(await decodedIdentities(tensors)) },
      codecs: ['coded-subspace'],
      files,
      tensors,
    },
    collector.chunks,
  );
}

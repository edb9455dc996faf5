/** A base of any size on disk and an archive against it, made without encoding: factors and codes are random. */
import { createHash } from 'node:crypto';
import { type FileHandle, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArchiveTensor, Digest } from '../../formats/ere/archive-index.js';
import { checkpointIdentity } from '../../formats/ere/identity.js';
import { archiveBytes, ChunkCollector } from '../../formats/ere/write-archive.js';
import { serializeSafetensorsHeader } from '../../formats/safetensors/serialize-header.js';
import type { EncodedTerm } from '../../src/codecs/codec.js';
import { codedDenseTerm } from '../../src/codecs/coded-dense.js';
import { encodeLowRank } from '../../src/codecs/low-rank.js';
import { rowsPerBlock } from '../../src/codecs/row-blocks.js';
import { nodeRuntime } from '../../src/io/node-runtime.js';
import { decodeTensor } from '../../src/residual/decode-tensor.js';
import { normalFloats } from '../kernels/samples.js';

export interface LargeTensor {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** Components of a low-rank term, or 'dense' for an entropy-coded one of about 1.4 bits a weight. */
  readonly residual: number | 'dense';
  /** Default 4. */
  readonly bits?: number;
}

export interface LargePair {
  readonly base: string;
  readonly archive: string;
  /** Digests of the decoded tensors by name. */
  readonly digests: ReadonlyMap<string, Digest>;
}

const runtime = nodeRuntime('wasm');

/** Writes base.safetensors (BF16) and a.ere into a folder. Rows of the base repeat every 1 MiB or so. */
export async function writeLargePair(folder: string, tensors: readonly LargeTensor[]): Promise<LargePair> {
  const [base, archive] = [join(folder, 'base.safetensors'), join(folder, 'a.ere')];
  const infos = tensors.map(
    ({ name, rows, columns }) => ({ name, dtype: 'BF16', shape: [rows, columns] }) as const,
  );
  const header = serializeSafetensorsHeader(infos);
  const collector = new ChunkCollector();
  const byteLength =
    header.byteLength + tensors.reduce((sum, { rows, columns }) => sum + rows * columns * 2, 0);
  const file = {
    path: 'model.safetensors',
    byteLength,
    header: { chunk: collector.add(header), byteLength: header.byteLength, encoding: 'stored' as const },
  };
  const handle = await open(base, 'w');
  const records: ArchiveTensor[] = [];
  try {
    await handle.write(header);
    for (const [i, tensor] of tensors.entries()) {
      const { rows, columns } = tensor;
      const term = termOf(tensor, i);
      const chunks = term.chunks.map(({ bytes }) => collector.add(bytes));
      const tile = tileOf(columns, i);
      const readBase = async (offset: number, length: number) => tiled(tile, offset, length);
      const decodable = { ...infos[i]!, columns, terms: [{ ...term, chunks: [...term.chunks.keys()] }] };
      const found = await decodeTensor({
        tensor: { ...decodable, base: {} },
        archive,
        readChunk: async (chunk) => term.chunks[chunk]!.bytes,
        readBase,
        write: () => {},
        runtime,
      });
      await writeTiles(handle, tile, rows * columns * 2);
      const quality = { squaredError: 1, squaredResidual: 2 };
      const errorDrops = chunks.map(() => 1 / chunks.length);
      const terms = [{ codec: term.codec, params: term.params, chunks, errorDrops }];
      const digest = found.decoded;
      records.push({ ...infos[i]!, file: 0, digest, base: { digest: found.base! }, columns, terms, quality });
    }
  } finally {
    await handle.close();
  }
  const identity = await checkpointIdentity(records);
  const baseIdentity = await checkpointIdentity(
    records.map((record) => ({ ...record, digest: record.base!.digest })),
  );
  const bytes = await archiveBytes(
    {
      generator: 'test',
      encoding: {},
      base: { name: 'base', digest: baseIdentity, tensorCount: records.length },
      decoded: { digest: identity },
      codecs: [...new Set(records.flatMap(({ terms }) => terms.map(({ codec }) => codec)))].sort(),
      files: [file],
      sideFiles: [],
      tensors: records,
      removed: [],
    },
    collector.chunks,
  );
  await writeFile(archive, bytes);
  return { base, archive, digests: new Map(records.map(({ name, digest }) => [name, digest])) };
}

/** SHA-256 of bytes, as archives write it. */
export function sha256(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function termOf({ rows, columns, residual, bits = 4 }: LargeTensor, seed: number): EncodedTerm {
  if (residual === 'dense') return denseTerm(rows, columns, seed);
  const factors = {
    rows,
    columns,
    singularValues: Float64Array.from({ length: residual }, (_, k) => 1 / (k + 1)),
    u: normalFloats(rows * residual, 3 * seed + 1),
    v: normalFloats(columns * residual, 3 * seed + 2),
  };
  return encodeLowRank(factors, residual, bits, runtime.kernels);
}

function denseTerm(rows: number, columns: number, seed: number): EncodedTerm {
  const blockRows = rowsPerBlock(columns);
  const encoder = runtime.kernels.createMatrixEncoder({ columns });
  const values = normalFloats(Math.min(rows, blockRows) * columns, seed, 0.6);
  const codes = new Int16Array(values.length);
  const chunks: { bytes: Uint8Array; squaredErrorDrop: number }[] = [];
  for (let row = 0; row < rows; row += blockRows) {
    const count = Math.min(blockRows, rows - row);
    const size = count * columns;
    encoder.encodeRows({
      values: values.subarray(0, size),
      rows: count,
      lambda: 0.1,
      codes: codes.subarray(0, size),
    });
    chunks.push({ bytes: encoder.endChunk(), squaredErrorDrop: 1 });
  }
  encoder.free();
  return codedDenseTerm(chunks, 2 ** -10, 1, blockRows);
}

/** Some rows of small values, as bytes. */
function tileOf(columns: number, seed: number): Uint8Array {
  const values = normalFloats(columns * Math.max(1, Math.floor(2 ** 19 / columns)), 100 + seed, 0.02);
  const bytes = new Uint8Array(2 * values.length);
  runtime.kernels.fromFloat32('BF16', values, bytes);
  return bytes;
}

function tiled(tile: Uint8Array, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const from = (offset + done) % tile.byteLength;
    const part = tile.subarray(from, from + length - done);
    bytes.set(part, done);
    done += part.byteLength;
  }
  return bytes;
}

async function writeTiles(handle: FileHandle, tile: Uint8Array, byteLength: number): Promise<void> {
  for (let done = 0; done < byteLength; done += tile.byteLength)
    await handle.write(tile.subarray(0, byteLength - done));
}

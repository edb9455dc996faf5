/** Opens a term as an encoder made it, without an archive around it. */
import type { Codec, EncodedTerm, TermContext, TermDecoder } from '../../src/codecs/codec.js';
import type { Kernels } from '../../src/kernels/kernels.js';

export interface TermShape {
  readonly rows: number;
  readonly columns: number;
  readonly kernels: Kernels;
  /** Chunks from this one on lie behind the cut; default: none. */
  readonly cut?: number;
}

export function openTerm(codec: Codec, term: EncodedTerm, shape: TermShape): Promise<TermDecoder> {
  const { rows, columns, kernels, cut = term.chunks.length } = shape;
  const context: TermContext = {
    term: { codec: term.codec, params: term.params, chunks: term.chunks.map((_, i) => i) },
    subject: 'test.ere, tensor "w"',
    rowCount: rows,
    columns,
    dtype: 'F32',
    rowByteLength: columns * 4,
    kernels,
    chunk: async (i) => (i < cut ? term.chunks[i]!.bytes : undefined),
  };
  return codec.open(context);
}

/** The residual of an additive term, in two row blocks so that block borders are crossed. */
export async function residualOf(codec: Codec, term: EncodedTerm, shape: TermShape): Promise<Float32Array> {
  const decoder = await openTerm(codec, term, shape);
  if (decoder.kind !== 'additive') throw new TypeError(`expected an additive codec, got ${codec.id}`);
  const { rows, columns } = shape;
  const residual = new Float32Array(rows * columns);
  const middle = Math.floor(rows / 3);
  for (const [start, end] of [
    [0, middle],
    [middle, rows],
  ] as const) {
    await decoder.prepare(start, end - start);
    decoder.accumulate(start, end - start, residual.subarray(start * columns, end * columns));
  }
  decoder.close();
  return residual;
}

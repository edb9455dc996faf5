/** One term on its own: decoding what an encoder made, or what a test made up. */
import type { Dtype } from '../../formats/dtype.js';
import type { Codec, EncodedTerm, TermContext, TermDecoder } from '../../src/codecs/codec.js';
import type { Kernels } from '../../src/kernels/kernels.js';

export interface TermSetting {
  readonly rows: number;
  readonly columns: number;
  readonly kernels: Kernels;
  /** Default: 4 bytes an element. */
  readonly rowByteLength?: number;
  /** Default 'F32'. */
  readonly dtype?: Dtype;
  /** Chunks from this one on lie behind the cut of a truncated archive. */
  readonly cut?: number;
}

/** A term as a test makes it up, right or wrong. */
export interface MadeTerm {
  readonly codec: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly chunks: readonly Uint8Array[];
}

export function madeTerm(term: EncodedTerm): MadeTerm {
  return { codec: term.codec, params: term.params, chunks: term.chunks.map(({ bytes }) => bytes) };
}

export function openTerm(codec: Codec, term: MadeTerm, setting: TermSetting): Promise<TermDecoder> {
  const { rows, columns, kernels, dtype = 'F32', rowByteLength = columns * 4 } = setting;
  const { cut = Number.POSITIVE_INFINITY } = setting;
  const context: TermContext = {
    term: { codec: term.codec, params: term.params, chunks: term.chunks.map((_, i) => i) },
    subject: 'a.ere, tensor "w"',
    rowCount: rows,
    columns,
    dtype,
    rowByteLength,
    kernels,
    chunk: async (i) => (i < cut ? term.chunks[i] : undefined),
  };
  return codec.open(context);
}

/** The residual of an additive term, asked for in blocks of `blockRows` rows; default: all at once. */
export async function residualOf(
  codec: Codec,
  term: MadeTerm,
  setting: TermSetting,
  blockRows = setting.rows,
): Promise<Float32Array> {
  const decoder = await openTerm(codec, term, setting);
  if (decoder.kind !== 'additive') throw new TypeError('expected an additive term');
  const { rows, columns } = setting;
  const residual = new Float32Array(rows * columns);
  for (let start = 0; start < rows; start += blockRows) {
    const count = Math.min(blockRows, rows - start);
    await decoder.prepare(start, count);
    decoder.accumulate(start, count, residual.subarray(start * columns, (start + count) * columns));
  }
  decoder.close();
  return residual;
}

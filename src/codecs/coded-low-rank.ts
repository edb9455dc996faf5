/**
 * Codec "coded-low-rank" (docs/spec/codecs.md §6): the arithmetic of "low-rank" with entropy-coded
 * factors, R̂_ij = f32(s · f32(Σ_k a_ik · b_jk)), a_ik = gain_k · qA_ki, b_jk = qB_kj.
 *
 * The codes qA (components × rows) and qB (components × columns) are matrices of the matrix coder, in
 * half steps. Components lie in bands, strongest first, one chunk a band; the coders' models carry on
 * from band to band. Invariant as of "low-rank": every sum is exact in float64.
 */
import { readUint16, readUint32, writeUint16, writeUint32 } from '../../formats/little-endian.js';
import type { MatrixDecoder } from '../kernels/matrix-coder.js';
import type { Codec, EncodedTerm, TermContext } from './codec.js';
import { FactorRows } from './factor-rows.js';
import { type IntegerFactors, openIntegerProduct } from './integer-product.js';
import { choiceParam, codecError, countsParam, expectChunks, float32Param } from './params.js';

/** Trellis states of the matrix coder. */
export const TRELLIS_STATES = [1, 4, 8] as const;
export type TrellisStates = (typeof TRELLIS_STATES)[number];

export interface CodedBand {
  readonly gains: Uint16Array;
  /** Chunks of the two matrix coders. */
  readonly codesA: Uint8Array;
  readonly codesB: Uint8Array;
  readonly squaredErrorDrop: number;
}

/** Term from finished bands. */
export function codedLowRankTerm(
  bands: readonly CodedBand[],
  scale: number,
  states: TrellisStates,
): EncodedTerm {
  const chunks = bands.map((band) => {
    const header = 2 * band.gains.length + 4;
    const bytes = new Uint8Array(header + band.codesA.byteLength + band.codesB.byteLength);
    for (const [k, gain] of band.gains.entries()) writeUint16(bytes, 2 * k, gain);
    writeUint32(bytes, header - 4, band.codesA.byteLength);
    bytes.set(band.codesA, header);
    bytes.set(band.codesB, header + band.codesA.byteLength);
    return { bytes, squaredErrorDrop: band.squaredErrorDrop };
  });
  const params = { scale, bands: bands.map((band) => band.gains.length), states };
  return { codec: codedLowRankCodec.id, params, chunks };
}

/** Bytes of factors that a byte of payload may stand for: the coder gives zeros for next to nothing. */
const MAX_EXPANSION = 1 << 16;

async function readFactors(context: TermContext): Promise<IntegerFactors> {
  const { rowCount: rows, columns, kernels } = context;
  const bands = countsParam(context, 'bands');
  const states = choiceParam(context, 'states', TRELLIS_STATES);
  expectChunks(context, bands.length);
  const chunks: Uint8Array[] = [];
  for (let band = 0; band < bands.length; band++) {
    const bytes = await context.chunk(band);
    if (bytes === undefined) break; // Behind the cut: later bands only refine.
    chunks.push(bytes);
  }
  const rank = chunks.reduce((sum, _, band) => sum + bands[band], 0);
  const payload = chunks.reduce((sum, bytes) => sum + bytes.byteLength, 0);
  if (rank > Math.min(rows, columns) || rank * (rows + columns) > payload * MAX_EXPANSION) {
    throw codecError(
      context,
      `rank ${rank} is too large for ${rows} × ${columns} values in ${payload} bytes`,
    );
  }
  const a = new FactorRows(rows, rank, kernels);
  const b = new FactorRows(columns, rank, kernels);
  const decoderA = kernels.createMatrixDecoder({ columns: rows, states });
  const decoderB = kernels.createMatrixDecoder({ columns, states });
  try {
    for (const [band, bytes] of chunks.entries()) {
      const header = 2 * bands[band] + 4;
      const split = header + (bytes.byteLength < header ? 0 : readUint32(bytes, header - 4));
      if (split > bytes.byteLength)
        throw codecError(context, `band ${band}: ends inside its first code stream`);
      const gains = Uint16Array.from({ length: bands[band] }, (_, k) => readUint16(bytes, 2 * k));
      decoderA.beginChunk(bytes.subarray(header, split));
      for (const gain of gains) addComponent(decoderA, a, gain);
      decoderB.beginChunk(bytes.subarray(split));
      for (let k = 0; k < gains.length; k++) addComponent(decoderB, b, 1);
    }
  } finally {
    decoderA.free();
    decoderB.free();
  }
  for (const bytes of chunks) context.release?.(bytes);
  return { a: a.finish(), b: b.finish(), rank };
}

function addComponent(decoder: MatrixDecoder, rows: FactorRows, gain: number): void {
  decoder.decodeRows(1, rows.next);
  rows.add(gain);
}

export const codedLowRankCodec: Codec = {
  id: 'coded-low-rank',
  async open(context) {
    const scale = float32Param(context, 'scale');
    return openIntegerProduct(context, await readFactors(context), scale);
  },
};

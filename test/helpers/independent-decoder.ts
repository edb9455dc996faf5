/**
 * A second decoder, written from docs/spec/archive.md and docs/spec/codecs.md with plain numbers, BigInt, node:zlib
 * and node:crypto: nothing of src/ or formats/ runs here. Slow and direct, a section of the document at a time.
 */

import { createHash } from 'node:crypto';
import { crc32, inflateRawSync } from 'node:zlib';
import { nearestCode, REFERENCE_FORMATS, realValue } from '../kernels/float-reference.js';
import { plainAnsDecode } from '../kernels/plain-ans-decoder.js';
import { plainDecode } from '../kernels/plain-matrix-decoder.js';
import { intervalBytes, smallElements } from './independent-interval.js';

// ---- archive.md ----

export interface IndependentTerm {
  readonly codec: string;
  readonly rows?: readonly [number, number];
  readonly chunks: readonly number[];
  readonly missing?: number;
  readonly params: Readonly<Record<string, unknown>>;
}

export interface IndependentTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly columns: number;
  readonly terms: readonly IndependentTerm[];
  readonly base?: { readonly name?: string; readonly dtype?: string; readonly shape?: readonly number[] };
}

interface Blob {
  chunk: number;
  byteLength: number;
  encoding: string;
}

interface Index {
  decoded: { digest: string; lossyDigest?: string };
  files: { path: string; byteLength: number; header: Blob }[];
  sideFiles: { path: string; byteLength: number; digest: string; content?: Blob }[];
  tensors: (IndependentTensor & {
    file: number;
    digest: string;
    base?: { digest: string };
    lossy?: { terms: number; digest: string };
  })[];
  chunks: [number, number][];
}

export interface BaseTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** A base as the document sees it: tensors by name, other files by path. */
export interface Base {
  readonly tensors: ReadonlyMap<string, BaseTensor>;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

const digestOf = (bytes: Uint8Array | string) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** §3 to §5: the index, and the chunks after their checksums were checked. */
export function readArchive(bytes: Buffer): { index: Index; chunks: Buffer[] } {
  if (bytes.subarray(0, 8).toString('hex') !== '89455245310d0a1a') throw new Error('magic');
  if (crc32(bytes.subarray(0, 36)) !== bytes.readUInt32LE(36)) throw new Error('prelude checksum');
  const stored = bytes.subarray(40, 40 + bytes.readUInt32LE(12));
  if (crc32(stored) !== bytes.readUInt32LE(20)) throw new Error('index checksum');
  const json = bytes.readUInt32LE(8) === 1 ? inflateRawSync(stored) : stored;
  if (json.length !== bytes.readUInt32LE(16)) throw new Error('index length');
  const index: Index = JSON.parse(json.toString('utf8'));
  let offset = 40 + stored.length;
  const chunks = index.chunks.map(([byteLength, checksum]) => {
    const chunk = bytes.subarray(offset, offset + byteLength);
    if (chunk.length !== byteLength || crc32(chunk) !== checksum) throw new Error('chunk');
    offset += byteLength;
    return chunk;
  });
  if (offset !== bytes.length || Number(bytes.readBigUInt64LE(24)) !== offset) throw new Error('length');
  return { index, chunks };
}

function readBlob({ chunk, byteLength, encoding }: Blob, chunks: readonly Buffer[]): Buffer {
  const bytes = encoding === 'deflate-raw' ? inflateRawSync(chunks[chunk]) : chunks[chunk];
  if (bytes.length !== byteLength) throw new Error('blob length');
  return bytes;
}

/** §7: every file of the decoded checkpoint by path, all digests checked; `lossy` for the level below exact terms. */
export function decodeIndependently(archive: Buffer, base: Base, lossy = false): Map<string, Buffer> {
  const { index, chunks } = readArchive(archive);
  const files: Uint8Array[][] = index.files.map(({ header }) => [readBlob(header, chunks)]);
  for (const tensor of index.tensors) {
    const basis = tensor.base && base.tensors.get(tensor.base.name ?? tensor.name);
    if (tensor.base && digestOf(basis!.bytes) !== tensor.base.digest) throw new Error('base digest');
    const level =
      lossy && tensor.lossy ? tensor.lossy : { terms: tensor.terms.length, digest: tensor.digest };
    const terms = tensor.terms.slice(0, level.terms);
    const bytes = decodeTensorIndependently({ ...tensor, terms }, chunks, basis?.bytes);
    if (digestOf(bytes) !== level.digest) throw new Error(`digest of ${tensor.name}`);
    files[tensor.file].push(bytes);
  }
  const result = new Map(index.files.map(({ path }, i) => [path, Buffer.concat(files[i])]));
  for (const { path, byteLength } of index.files) {
    if (result.get(path)!.length !== byteLength) throw new Error('file length');
  }
  for (const { path, digest, content } of index.sideFiles) {
    const bytes = Buffer.from(content ? readBlob(content, chunks) : base.files.get(path)!);
    if (digestOf(bytes) !== digest) throw new Error('side file');
    result.set(path, bytes);
  }
  return result;
}

// ---- codecs.md ----

const WIDTH: Record<string, number> = { F64: 8, F32: 4, C64: 8, I64: 8, U64: 8, I32: 4, U32: 4 };
const HALVES = ['F16', 'BF16', 'I16', 'U16'];
/** Bytes of an element; the document's packed dtypes are not needed here. */
const widthOf = (dtype: string): number => WIDTH[dtype] ?? (HALVES.includes(dtype) ? 2 : 1);
const isFloat = (dtype: string) => /^(F64|F32|F16|BF16|F8_E4M3|F8_E5M2)$/.test(dtype);
const productOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const f32 = Math.fround;

/** Element i as a number, exact. */
function readElement(dtype: string, bytes: Uint8Array, i: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (dtype === 'F64') return view.getFloat64(i * 8, true);
  if (dtype === 'F32') return view.getFloat32(i * 4, true);
  const format = REFERENCE_FORMATS.find((candidate) => candidate.dtype === dtype)!;
  return realValue(format, format.bits === 16 ? view.getUint16(i * 2, true) : bytes[i]);
}

/** round_dtype of §1; `value` is a float32, or any number for F64. */
function writeElement(dtype: string, bytes: Uint8Array, i: number, value: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (dtype === 'F64') {
    if (Number.isNaN(value)) view.setBigUint64(i * 8, 0x7ff8000000000000n, true);
    else view.setFloat64(i * 8, value, true);
  } else if (dtype === 'F32') {
    if (Number.isNaN(value)) view.setUint32(i * 4, 0x7fc00000, true);
    else view.setFloat32(i * 4, value, true);
  } else {
    const format = REFERENCE_FORMATS.find((candidate) => candidate.dtype === dtype)!;
    const code = nearestCode(format, value);
    if (format.bits === 16) view.setUint16(i * 2, code, true);
    else bytes[i] = code;
  }
}

/** §1, Codes: bit by bit. */
export function readCodes(bytes: Uint8Array, start: number, count: number, bits: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    let code = 0;
    for (let b = 0; b < bits; b++) {
      const position = i * bits + b;
      code += ((bytes[start + Math.floor(position / 8)] >> (position % 8)) & 1) * 2 ** b;
    }
    return code >= 2 ** (bits - 1) ? code - 2 ** bits : code;
  });
}

/** Chunk i of a term; undefined when it was left out, as archive.md §8 allows. */
type Payload = (i: number) => Uint8Array | undefined;

/** §2: r_ij of all rows of the term. */
export function lowRankResidual(
  params: IndependentTerm['params'],
  payload: Payload,
  rows: number,
  columns: number,
): number[] {
  const components: { a: bigint[]; b: bigint[] }[] = [];
  for (const [band, size] of (params.bands as number[]).entries()) {
    const chunk = payload(band);
    if (chunk === undefined) break;
    const bytes = Buffer.from(chunk);
    let offset = 0;
    for (let i = 0; i < size; i++) {
      const bits = bytes[offset];
      const gains = [bytes.readUInt16LE(offset + 1), bytes.readUInt16LE(offset + 3)];
      offset += 5;
      const a = readCodes(bytes, offset, rows, bits).map((code) => BigInt(gains[0] * code));
      offset += Math.ceil((rows * bits) / 8);
      const b = readCodes(bytes, offset, columns, bits).map((code) => BigInt(gains[1] * code));
      offset += Math.ceil((columns * bits) / 8);
      components.push({ a, b });
    }
    if (offset !== bytes.length) throw new Error('band length');
  }
  return Array.from({ length: rows * columns }, (_, at) => {
    const [i, j] = [Math.floor(at / columns), at % columns];
    let sum = 0n;
    for (const { a, b } of components) sum += a[i] * b[j];
    return f32((params.scale as number) * f32(Number(sum)));
  });
}

/** §3 */
export function denseResidual(
  params: IndependentTerm['params'],
  payload: Payload,
  rows: number,
  columns: number,
): number[] {
  const { scale, bits, blockRows } = params as { scale: number; bits: number; blockRows: number };
  const residual: number[] = [];
  for (let start = 0, chunk = 0; start < rows; start += blockRows, chunk++) {
    const count = Math.min(blockRows, rows - start);
    const stored = payload(chunk);
    if (stored === undefined) break;
    const bytes = Buffer.from(stored);
    const codes = readCodes(bytes, count * 2, count * columns, bits);
    if (bytes.length !== count * 2 + Math.ceil((count * columns * bits) / 8)) throw new Error('block length');
    for (const [at, code] of codes.entries()) {
      const gain = bytes.readUInt16LE(Math.floor(at / columns) * 2);
      residual.push(f32(scale * f32(gain * code)));
    }
  }
  return residual;
}

/** §5 */
export function signResidual(
  params: IndependentTerm['params'],
  payload: Payload,
  rows: number,
  columns: number,
): number[] {
  const { scale, blockRows } = params as { scale: number; blockRows: number };
  const residual: number[] = [];
  for (let start = 0, chunk = 0; start < rows; start += blockRows, chunk++) {
    const count = Math.min(blockRows, rows - start) * columns;
    const bytes = payload(chunk);
    if (bytes === undefined) break;
    if (bytes.length !== Math.ceil(count / 8)) throw new Error('block length');
    for (let at = 0; at < count; at++) {
      residual.push(((bytes[at >> 3]! >> (at & 7)) & 1) === 1 ? -scale : scale);
    }
  }
  return residual;
}

/** Codec coded-low-rank; the codes by the matrix coder's second decoder. */
export function codedLowRankResidual(
  params: IndependentTerm['params'],
  payload: Payload,
  rows: number,
  columns: number,
): number[] {
  const { scale, bands, states } = params as { scale: number; bands: number[]; states: 1 | 4 | 8 };
  const gains: number[] = [];
  const [chunksA, chunksB]: { bytes: Uint8Array; rows: number }[][] = [[], []];
  for (const [band, size] of bands.entries()) {
    const chunk = payload(band);
    if (chunk === undefined) break;
    const bytes = Buffer.from(chunk);
    for (let k = 0; k < size; k++) gains.push(bytes.readUInt16LE(2 * k));
    const start = 2 * size + 4;
    const split = start + bytes.readUInt32LE(2 * size);
    chunksA!.push({ bytes: bytes.subarray(start, split), rows: size });
    chunksB!.push({ bytes: bytes.subarray(split), rows: size });
  }
  const a = plainDecode(rows, states, chunksA!);
  const b = plainDecode(columns, states, chunksB!);
  return Array.from({ length: rows * columns }, (_, at) => {
    const [i, j] = [Math.floor(at / columns), at % columns];
    let sum = 0n;
    for (const [k, gain] of gains.entries())
      sum += BigInt(gain * a[k * rows + i]!) * BigInt(b[k * columns + j]!);
    return f32(scale * f32(Number(sum)));
  });
}

/** Codec coded-dense. */
export function codedDenseResidual(
  params: IndependentTerm['params'],
  payload: Payload,
  rows: number,
  columns: number,
): number[] {
  const { scale, blockRows, states } = params as { scale: number; blockRows: number; states: 1 | 4 | 8 };
  const chunks = blocksOf(payload, rows, blockRows);
  return plainDecode(columns, states, chunks).map((code) => f32(scale * f32(code)));
}

/** Codec ans-dense. */
export function ansDenseResidual(
  params: IndependentTerm['params'],
  payload: Payload,
  rows: number,
  columns: number,
): number[] {
  const { scale, blockRows } = params as { scale: number; blockRows: number };
  const chunks = blocksOf(payload, rows, blockRows);
  return plainAnsDecode(columns, chunks).map((code) => f32(scale * f32(code)));
}

/** Blocks of rows, a chunk each, up to the first that was left out. */
function blocksOf(payload: Payload, rows: number, blockRows: number): { bytes: Uint8Array; rows: number }[] {
  const chunks: { bytes: Uint8Array; rows: number }[] = [];
  for (let start = 0, chunk = 0; start < rows; start += blockRows, chunk++) {
    const bytes = payload(chunk);
    if (bytes === undefined) break;
    chunks.push({ bytes, rows: Math.min(blockRows, rows - start) });
  }
  return chunks;
}

/** Codec coded-subspace. */
export function codedSubspaceResidual(
  params: IndependentTerm['params'],
  payload: Payload,
  rows: number,
  columns: number,
): number[] {
  const { scale, bands, states, basis } = params as {
    scale: number;
    bands: number[];
    states: 1 | 4 | 8;
    basis: string;
  };
  const [d, n] = basis === 'columns' ? [columns, rows] : [rows, columns];
  const [ofBasis, ofCoefficients]: { bytes: Uint8Array; rows: number }[][] = [[], []];
  for (const [band, size] of bands.entries()) {
    const [vectors, coefficients] = [payload(2 * band), payload(2 * band + 1)];
    if (vectors === undefined || coefficients === undefined) break;
    ofBasis!.push({ bytes: vectors, rows: size });
    ofCoefficients!.push({ bytes: coefficients, rows: size });
  }
  const rank = ofBasis!.reduce((sum, chunk) => sum + chunk.rows, 0);
  const codes = plainDecode(d, states, ofBasis!, (row) => row);
  const c = plainDecode(n, states, ofCoefficients!);
  const b: number[][] = [];
  const reflections: { w: number[]; t: number }[] = [];
  for (let k = 0; k < rank; k++) {
    const q = codes.slice(k * d, (k + 1) * d);
    const N = Math.sqrt(q.reduce((sum, code) => sum + code * code, 0));
    let x = q.map((code) => code / N);
    const w = x.map((z, i) => (i === k ? z + (q[k]! < 0 ? -1 : 1) : z));
    const t = 1 + Math.abs(x[k]!);
    for (let r = k - 1; r >= 0; r--) {
      const sums = [0, 0, 0, 0];
      for (let i = r; i < d; i++) sums[i % 4]! += reflections[r]!.w[i]! * x[i]!;
      const g = (sums[0]! + sums[1]! + (sums[2]! + sums[3]!)) / reflections[r]!.t;
      x = x.map((value, i) => (i < r ? value : value - g * reflections[r]!.w[i]!));
    }
    reflections.push({ w, t });
    b.push(x.map((value) => Math.floor(value * 16_384 + 0.5)));
  }
  return Array.from({ length: rows * columns }, (_, at) => {
    const [i, j] = [Math.floor(at / columns), at % columns];
    const [own, other] = basis === 'columns' ? [i, j] : [j, i];
    let sum = 0n;
    for (let k = 0; k < rank; k++) sum += BigInt(c[k * n + own]!) * BigInt(b[k]![other]!);
    return f32(scale * f32(Number(sum)));
  });
}

const ADDITIVE: Record<string, typeof lowRankResidual> = {
  'coded-low-rank': codedLowRankResidual,
  'ans-dense': ansDenseResidual,
  'coded-dense': codedDenseResidual,
  'coded-subspace': codedSubspaceResidual,
  'low-rank': lowRankResidual,
  dense: denseResidual,
  sign: signResidual,
};

/** §4: the bytes of the term's rows; `prediction` holds the bytes of the same rows that the term is coded against. */
export function exactBytes(
  params: IndependentTerm['params'],
  payload: Payload,
  byteLength: number,
  prediction: Uint8Array | undefined,
): Buffer {
  const { predict, word, segment, encodings } = params as {
    predict: string;
    word: number;
    segment: number;
    encodings: string[];
  };
  const result = Buffer.alloc(byteLength);
  for (let start = 0, chunk = 0; start < byteLength; start += segment, chunk++) {
    const length = Math.min(segment, byteLength - start);
    const planes = encodings[chunk] === 'stored' ? payload(chunk)! : inflateRawSync(payload(chunk)!);
    if (planes.length !== length) throw new Error('segment length');
    for (let w = 0; w < length / word; w++) {
      let value = 0n;
      let basis = 0n;
      for (let p = word - 1; p >= 0; p--) {
        value = value * 256n + BigInt(planes[(p * length) / word + w]);
        if (predict !== 'none') basis = basis * 256n + BigInt(prediction![start + w * word + p]);
      }
      value = (value + basis) % 2n ** BigInt(8 * word);
      for (let p = 0; p < word; p++) {
        result[start + w * word + p] = Number(value % 256n);
        value /= 256n;
      }
    }
  }
  return result;
}

/** §1: one tensor, row by row. */
export function decodeTensorIndependently(
  tensor: IndependentTensor,
  chunks: readonly Uint8Array[],
  base: Uint8Array | undefined,
): Buffer {
  const rows = productOf(tensor.shape) / tensor.columns;
  tensor.terms.forEach(({ codec, rows: [start, end] = [0, rows] }, i) => {
    const hidden = tensor.terms.slice(i + 1).some(({ rows: [from, to] = [0, rows], params }) => {
      return params.predict !== undefined && params.predict !== 'reconstruction' && from < end && to > start;
    });
    if (codec.startsWith('interval') && hidden) throw new Error('hidden rows of an interval term');
  });
  const known: Known = new Map();
  return Buffer.concat(
    Array.from({ length: rows }, (_, row) => decodeRow(tensor, tensor.terms, chunks, base, row, known).bytes),
  );
}

/** What terms give as a whole, so that it is computed once. */
type Known = Map<IndependentTerm, unknown>;

function once<T>(known: Known, term: IndependentTerm, make: () => T): T {
  if (!known.has(term)) known.set(term, make());
  return known.get(term) as T;
}

interface DecodedRow {
  readonly bytes: Buffer;
  /** f32(base + R̂) of each element where rule 3 gave the row. */
  readonly values?: readonly number[];
}

/** §8: rows from those that the term is coded against. */
function intervalRows(
  params: IndependentTerm['params'],
  payload: Payload,
  dtype: string,
  columns: number,
  predicted: readonly DecodedRow[],
): DecodedRow[] {
  const rowByteLength = columns * widthOf(dtype);
  const none = new Array<number | undefined>(columns).fill(undefined);
  const bytes = intervalBytes(params, payload, dtype, widthOf(dtype), predicted.length, rowByteLength, {
    bytes: Buffer.concat(predicted.map((row) => row.bytes)),
    values: predicted.flatMap(({ values }): readonly (number | undefined)[] => values ?? none),
  });
  return predicted.map((_, i) => ({ bytes: bytes.subarray(i * rowByteLength, (i + 1) * rowByteLength) }));
}

/** §9: rows from those that the term is coded against. */
function smallRows(
  params: IndependentTerm['params'],
  payload: Payload,
  dtype: string,
  predicted: readonly DecodedRow[],
): DecodedRow[] {
  const width = widthOf(dtype);
  const x = predicted.map(({ bytes, values }) =>
    Array.from({ length: bytes.length / width }, (_, j) => values?.[j] ?? f32(readElement(dtype, bytes, j))),
  );
  const small = x.map((row) => [...row.keys()].filter((j) => Math.abs(row[j]!) < (params.below as number)));
  const coded = smallElements(
    params,
    payload,
    x.map((row, i) => small[i]!.map((j) => row[j]!)),
  );
  return predicted.map(({ bytes }, i) => {
    const row = Buffer.from(bytes);
    for (const [k, j] of small[i]!.entries()) {
      const { value, isPredicted } = coded[i]![k]!;
      if (!isPredicted) writeElement(dtype, row, j, value);
    }
    return { bytes: row };
  });
}

/** One row from some leading terms of a tensor. */
function decodeRow(
  tensor: IndependentTensor,
  terms: readonly IndependentTerm[],
  chunks: readonly Uint8Array[],
  base: Uint8Array | undefined,
  row: number,
  known: Known,
): DecodedRow {
  const { dtype, columns } = tensor;
  const rows = productOf(tensor.shape) / columns;
  const rowByteLength = columns * widthOf(dtype);
  const baseDtype = tensor.base?.dtype ?? dtype;
  const baseShape = tensor.base?.shape ?? tensor.shape;
  const baseRows = base === undefined ? 0 : Math.floor(productOf(baseShape) / columns);
  const covering = terms.filter(({ rows: [start, end] = [0, rows] }) => start <= row && row < end);
  const payloadOf = (term: IndependentTerm) => (i: number) =>
    i < term.chunks.length ? chunks[term.chunks[i]] : undefined;

  const exact = covering.filter(({ codec }) => codec === 'bytes' || codec.startsWith('interval')).at(-1);
  if (exact !== undefined) {
    const [start, end] = exact.rows ?? [0, rows];
    const { predict } = exact.codec === 'interval-small' ? { predict: 'reconstruction' } : exact.params;
    const predictedRow = (at: number): DecodedRow => {
      if (predict === 'none') return { bytes: Buffer.alloc(rowByteLength) };
      if (predict === 'base')
        return { bytes: Buffer.from(base!.subarray(at * rowByteLength, (at + 1) * rowByteLength)) };
      return decodeRow(tensor, terms.slice(0, terms.indexOf(exact)), chunks, base, at, known);
    };
    if (exact.codec === 'bytes') {
      // Only the words of this row are looked at, so the rest of the prediction may be anything.
      const prediction = Buffer.alloc((end - start) * rowByteLength);
      const at = (row - start) * rowByteLength;
      prediction.set(predictedRow(row).bytes, at);
      const decoded = exactBytes(exact.params, payloadOf(exact), prediction.length, prediction);
      return { bytes: decoded.subarray(at, at + rowByteLength) };
    }
    const decoded = once(known, exact, () => {
      const predicted = Array.from({ length: end - start }, (_, i) => predictedRow(start + i));
      return exact.codec === 'interval-small'
        ? smallRows(exact.params, payloadOf(exact), dtype, predicted)
        : intervalRows(exact.params, payloadOf(exact), dtype, columns, predicted);
    });
    return decoded[row - start]!;
  }

  const out = Buffer.alloc(rowByteLength);
  if (covering.length === 0 && row < baseRows && baseDtype === dtype) {
    out.set(base!.subarray(row * rowByteLength, (row + 1) * rowByteLength));
  } else if ((covering.length > 0 || row < baseRows) && isFloat(dtype) && isFloat(baseDtype)) {
    const residuals = covering.map((term) => {
      const [start, end] = term.rows ?? [0, rows];
      const residual = ADDITIVE[term.codec];
      if (residual === undefined) throw new Error(`codec ${term.codec}`);
      const all = once(known, term, () => residual(term.params, payloadOf(term), end - start, columns));
      return all.slice((row - start) * columns);
    });
    const values: number[] = [];
    for (let j = 0; j < columns; j++) {
      let sum = covering.length === 0 ? -0 : 0;
      // A chunk that was left out adds nothing.
      for (const residual of residuals) sum = f32(sum + (residual[j] ?? 0));
      const basis = row < baseRows ? readElement(baseDtype, base!, row * columns + j) : 0;
      values.push(dtype === 'F64' ? basis + sum : f32(f32(basis) + sum));
      writeElement(dtype, out, j, values[j]);
    }
    return { bytes: out, values };
  } else {
    throw new Error(`row ${row} is not coded`);
  }
  return { bytes: out };
}

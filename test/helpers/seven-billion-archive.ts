/**
 * An archive of a 7 B model as its index describes it: the 291 tensors of Llama 2 7B, each matrix in bands of factors
 * and blocks of the dense remainder, one chunk each. Only prelude and index are written; the file is extended to its
 * stated length, so that the chunks take no disk, and do not match their checksums.
 */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { elementCount } from '../../formats/dtype.js';
import type { ArchiveTensor, ArchiveTerm, Digest } from '../../formats/ere/archive-index.js';
import { type ArchiveLayout, layoutArchive } from '../../formats/ere/write-archive.js';
import { rowsPerBlock } from '../../src/codecs/row-blocks.js';
import { uniform } from './pairs/random.js';

/** Bands of the factors of a matrix: ranks 4, 4, 8, 16, 32, 64. */
const BANDS = [4, 4, 8, 16, 32, 64];
/** A chunk of codec "interval" holds 2 MiB of bf16, its rows a power of two. */
const EXACT_CHUNK_ELEMENTS = 1 << 20;

interface Shape {
  readonly name: string;
  readonly shape: readonly number[];
}

/** In the order of the checkpoint. */
function llamaTensors(): Shape[] {
  const [hidden, intermediate, vocabulary] = [4096, 11_008, 32_000];
  const layer = (i: number): Shape[] => {
    const prefix = `model.layers.${i}`;
    return [
      { name: `${prefix}.input_layernorm.weight`, shape: [hidden] },
      { name: `${prefix}.mlp.down_proj.weight`, shape: [hidden, intermediate] },
      { name: `${prefix}.mlp.gate_proj.weight`, shape: [intermediate, hidden] },
      { name: `${prefix}.mlp.up_proj.weight`, shape: [intermediate, hidden] },
      { name: `${prefix}.post_attention_layernorm.weight`, shape: [hidden] },
      ...['k', 'o', 'q', 'v'].map((part) => ({
        name: `${prefix}.self_attn.${part}_proj.weight`,
        shape: [hidden, hidden],
      })),
    ];
  };
  return [
    { name: 'lm_head.weight', shape: [vocabulary, hidden] },
    { name: 'model.embed_tokens.weight', shape: [vocabulary, hidden] },
    ...Array.from({ length: 32 }, (_, i) => layer(i)).flat(),
    { name: 'model.norm.weight', shape: [hidden] },
  ];
}

/**
 * Writes the archive, about 900 MB as stated and a few hundred kB on a disk with sparse files.
 * @param options exactOnTop: a third term that makes every matrix exact; default false
 */
export async function writeSevenBillionArchive(
  path: string,
  options: { readonly exactOnTop?: boolean } = {},
): Promise<ArchiveLayout> {
  const layout = await sevenBillionLayout(options.exactOnTop ?? false);
  const file = await open(path, 'wx');
  try {
    await file.write(layout.front);
    await file.truncate(layout.byteLength);
  } finally {
    await file.close();
  }
  return layout;
}

async function sevenBillionLayout(exactOnTop: boolean): Promise<ArchiveLayout> {
  const draw = uniform(7);
  const chunks: { byteLength: number; crc32: number }[] = [];
  /** A chunk of about so many bytes. */
  const chunk = (byteLength: number): number =>
    chunks.push({
      byteLength: Math.ceil(byteLength * (0.8 + 0.4 * draw())),
      crc32: Math.floor(draw() * 2 ** 32),
    }) - 1;
  const header = { chunk: chunk(10_000), byteLength: 40_000, encoding: 'deflate-raw' as const };

  const tensors = llamaTensors().map((tensor) => skeleton(tensor, exactOnTop));
  // Progressive order: vectors, then a round over all matrices at a time; what refines them comes last.
  const place = (pieces: readonly Piece[]): void => {
    const rounds = Math.max(0, ...pieces.map(({ count }) => count));
    for (let round = 0; round < rounds; round++) {
      for (const piece of pieces) if (round < piece.count) piece.chunks.push(chunk(piece.byteLength));
    }
  };
  place(tensors.flatMap(({ lossy, exact }) => (lossy.length === 0 ? exact : [])));
  place(tensors.flatMap(({ lossy }) => lossy));
  place(tensors.flatMap(({ lossy, exact }) => (lossy.length === 0 ? [] : exact)));

  const records = tensors.map((tensor) => record(tensor, draw));
  const weights = tensors.reduce((sum, { shape }) => sum + 2 * elementCount(shape), 0);
  const isExactLater = records.some(({ lossy }) => lossy !== undefined);
  return layoutArchive(
    {
      generator: 'ere 0.1.0',
      encoding: { allocation: 'rate-distortion', effort: 'default' },
      base: { name: 'llama-2-7b', digest: digest('base'), tensorCount: tensors.length },
      decoded: {
        digest: digest('decoded'),
        ...(isExactLater ? { lossyDigest: digest('lossy') } : {}),
        squaredResidual: 12345.6,
      },
      codecs: ['coded-dense', 'coded-low-rank', 'interval'],
      files: [{ path: 'model.safetensors', byteLength: header.byteLength + weights, header }],
      sideFiles: [],
      tensors: records,
      removed: [],
    },
    chunks,
  );
}

/** A term to be, and its chunks so far. */
interface Piece {
  readonly codec: string;
  readonly params: ArchiveTerm['params'];
  readonly count: number;
  readonly byteLength: number;
  readonly chunks: number[];
}

interface Skeleton extends Shape {
  readonly columns: number;
  readonly lossy: readonly Piece[];
  readonly exact: readonly Piece[];
}

function skeleton({ name, shape }: Shape, exactOnTop: boolean): Skeleton {
  const [rows, columns] = shape.length === 2 ? (shape as [number, number]) : [1, shape[0]!];
  const chunkRows = 1 << (31 - Math.clz32(EXACT_CHUNK_ELEMENTS / columns));
  const exact = (predict: string): Piece => ({
    codec: 'interval',
    params: { chunkRows, drop: 0, means: false, predict, skip: 0, unit: -15 },
    count: Math.ceil(rows / chunkRows),
    byteLength: 0.4 * 2 * Math.min(rows, chunkRows) * columns,
    chunks: [],
  });
  if (rows === 1) return { name, shape, columns, lossy: [], exact: [exact('base')] };
  const blockRows = rowsPerBlock(columns);
  return {
    name,
    shape,
    columns,
    lossy: [
      {
        codec: 'coded-low-rank',
        params: { bands: BANDS, scale: 6.68574154372159e-11, states: 8 },
        count: BANDS.length,
        byteLength: 60_000,
        chunks: [],
      },
      {
        codec: 'coded-dense',
        params: { blockRows, scale: 0.000012345678, states: 8 },
        count: Math.ceil(rows / blockRows),
        byteLength: 100_000,
        chunks: [],
      },
    ],
    exact: exactOnTop ? [exact('reconstruction')] : [],
  };
}

function record({ name, shape, columns, lossy, exact }: Skeleton, draw: () => number): ArchiveTensor {
  const drop = (): number => Number((draw() * 10).toPrecision(3));
  const term = ({ codec, chunks, params }: Piece): ArchiveTerm => ({
    codec,
    chunks,
    ...(codec === 'interval' ? {} : { errorDrops: chunks.map(drop) }),
    params,
  });
  const [rows] = shape;
  const quality = {
    squaredError: Number((draw() * 10).toPrecision(6)),
    squaredResidual: Number((10 + draw() * 10).toPrecision(6)),
    gaussianBits: Number((draw() * 1).toPrecision(4)),
  };
  const isRefined = lossy.length > 0 && exact.length > 0;
  return {
    name,
    dtype: 'BF16',
    shape,
    file: 0,
    digest: digest(`${name} ${rows}`),
    base: { digest: digest(`base ${name}`) },
    columns,
    terms: [...lossy, ...exact].map(term),
    ...(lossy.length > 0 && !isRefined ? { quality } : {}),
    ...(isRefined ? { lossy: { terms: lossy.length, digest: digest(`lossy ${name}`), quality } } : {}),
  };
}

function digest(text: string): Digest {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/** What decoding a tensor holds in memory, from the index alone, so that a cap is kept and not found out. */
import { DTYPES, elementCount } from '../../formats/dtype.js';
import type { ArchiveIndex, ArchiveTensor, ArchiveTerm } from '../../formats/ere/archive-index.js';
import { LimitError } from '../../formats/errors.js';
import { PIECE_BYTE_LENGTH } from '../codecs/codec.js';
import type { CommonOptions } from './api.js';
import { type MemoryBudget, MIN_SHARE_BYTE_LENGTH, memoryBudget } from './memory-budget.js';
import { BLOCK_ELEMENTS } from './runtime.js';

/** Blocks that a thread holds: base and output twice for its own tensor, and its part of those in shared memory. */
const BLOCKS = 8;

/** Smaller blocks would cost more in calls than they hold. */
const MIN_BLOCK_ELEMENTS = 1 << 16;

/** Factors on their way from chunk to rows. */
const FACTOR_ROOM_BYTE_LENGTH = 8 << 20;

export interface DecodeBudget extends MemoryBudget {
  /** Elements of a block at most. */
  readonly blockElements: number;
}

/**
 * Divides the memory for decoding these tensors: fewer threads where one tensor's factors need more than a share.
 * @param file name of the archive
 * @throws LimitError when a given cap is too small for one of them on a single thread
 */
export function decodeBudget(
  options: Pick<CommonOptions, 'memoryCap' | 'threads'>,
  tensors: readonly ArchiveTensor[],
  { chunks }: ArchiveIndex,
  file: string,
): DecodeBudget {
  const held = tensors.map((tensor) => heldByteLength(tensor, chunks) + BLOCKS * leastBlock(tensor));
  const largest = held.reduce((most, byteLength) => Math.max(most, byteLength), 0);
  const budget = memoryBudget(options, Math.max(MIN_SHARE_BYTE_LENGTH, largest));
  if (options.memoryCap !== undefined && budget.shareByteLength < largest) {
    const cap = options.memoryCap - budget.shareByteLength + largest;
    const tensor = tensors[held.indexOf(largest)]!.name;
    throw new LimitError(
      `${file}, tensor "${tensor}": decoding it takes up to ${mebibytes(cap)} MiB of memory, over the cap of ` +
        `${mebibytes(options.memoryCap)} MiB; raise the cap`,
      options.memoryCap,
      cap,
    );
  }
  const room = Math.max(0, budget.shareByteLength - largest) / BLOCKS;
  const fitting = 2 ** Math.floor(Math.log2(Math.max(1, room / 4)));
  return {
    ...budget,
    blockElements: Math.min(BLOCK_ELEMENTS, Math.max(MIN_BLOCK_ELEMENTS, fitting)),
  };
}

const mebibytes = (byteLength: number): number => Math.ceil(byteLength / 2 ** 20);

/** Bytes that a tensor's codecs hold while it is decoded. */
function heldByteLength(tensor: ArchiveTensor, chunks: ArchiveIndex['chunks']): number {
  return tensor.terms.reduce((sum, term) => sum + heldByTerm(tensor, term, chunks), 0);
}

function heldByTerm(tensor: ArchiveTensor, term: ArchiveTerm, chunks: ArchiveIndex['chunks']): number {
  const largestChunk = term.chunks.reduce((most, chunk) => Math.max(most, chunks[chunk]![0]), 0);
  const rows =
    term.rows === undefined ? elementCount(tensor.shape) / tensor.columns : term.rows[1] - term.rows[0];
  const { bands, blockRows, segment } = term.params;
  if (Array.isArray(bands)) {
    // Integers of 32 bits at most; the right side once more, packed as float64 at most.
    const rank = bands.reduce((sum: number, band: unknown) => sum + (Number(band) || 0), 0);
    return largestChunk + FACTOR_ROOM_BYTE_LENGTH + rank * (4 * rows + 12 * tensor.columns);
  }
  // Compressed and not, or two blocks of codes and their chunks, as a block of rows may lie over a border.
  const byteLength = (rows * tensor.columns * DTYPES[tensor.dtype].bits) / 8;
  if (typeof segment === 'number') return largestChunk + 2 * Math.min(segment, byteLength);
  const codes = typeof blockRows === 'number' ? 2 * Math.min(blockRows, rows) * tensor.columns : 0;
  return 2 * (largestChunk + codes);
}

/** A block of the fewest rows. */
function leastBlock({ dtype, columns, terms }: ArchiveTensor): number {
  const width = DTYPES[dtype].bits / 8;
  const rowByteLength = columns * width;
  if (rowByteLength <= MIN_BLOCK_ELEMENTS * width) return MIN_BLOCK_ELEMENTS * width;
  const isComputed = terms.some(({ params }) => params.scale !== undefined);
  return isComputed ? rowByteLength : Math.min(rowByteLength, PIECE_BYTE_LENGTH);
}

/**
 * What is left of a tensor when only some chunks are there (docs/spec/archive.md §8): a file that was cut
 * short, or the prefix that a truncated archive keeps. The rules are the same, so both decode to the same bytes.
 */
import { elementCount, isFloatDtype } from '../dtype.js';
import type { ArchiveQuality, ArchiveTensor, ArchiveTerm, Digest } from './archive-index.js';
import { lossyTensor } from './levels.js';
import { roundLoss } from './round-loss.js';

export interface TensorCut {
  /** The tensor with the terms that are usable; undefined where it cannot be decoded at all. */
  readonly tensor: ArchiveTensor | undefined;
  /** What the tensor must decode to; undefined where the cut goes through its terms. */
  readonly digest: Digest | undefined;
  /**
   * Its loss: undefined when the tensor is exact, 'unknown' when exact terms are missing or the archive does not
   * say what a chunk is worth.
   */
  readonly quality: ArchiveQuality | undefined | 'unknown';
}

/** @param hasChunk whether the bytes of a chunk are there */
export function cutTensor(tensor: ArchiveTensor, hasChunk: (chunk: number) => boolean): TensorCut {
  const level = lossyTensor(tensor);
  for (const whole of level === tensor ? [tensor] : [tensor, level]) {
    if (isWhole(whole, hasChunk)) {
      return { tensor: whole, digest: whole.digest, quality: whole.quality };
    }
  }
  const cut = cutTerms(level, hasChunk);
  if (cut === undefined) return { tensor: undefined, digest: undefined, quality: 'unknown' };
  const { quality } = level;
  const isKnown = quality !== undefined && cut.squaredErrorRise !== undefined;
  return {
    tensor: { ...level, terms: cut.terms },
    digest: undefined,
    quality: isKnown
      ? {
          squaredError: roundLoss(
            Math.min(quality.squaredResidual, quality.squaredError + cut.squaredErrorRise!),
          ),
          squaredResidual: quality.squaredResidual,
          estimated: true,
        }
      : 'unknown',
  };
}

/** Whether every chunk is there; from the last one on, as files end early. */
function isWhole({ terms }: ArchiveTensor, hasChunk: (chunk: number) => boolean): boolean {
  for (let i = terms.length - 1; i >= 0; i--) {
    const { chunks } = terms[i];
    for (let k = chunks.length - 1; k >= 0; k--) if (!hasChunk(chunks[k])) return false;
  }
  return true;
}

interface CutTerms {
  readonly terms: readonly ArchiveTerm[];
  /** What the missing chunks would have taken off the squared error; undefined where that is not known. */
  readonly squaredErrorRise: number | undefined;
}

/** The usable terms; undefined when a row would be left that neither the base nor a term gives. */
function cutTerms(tensor: ArchiveTensor, hasChunk: (chunk: number) => boolean): CutTerms | undefined {
  const rowCount = elementCount(tensor.shape) / tensor.columns;
  const baseRows = baseRowCount(tensor);
  const terms: ArchiveTerm[] = [];
  const damaged: (readonly [number, number])[] = [];
  let rise: number | undefined = 0;
  for (const term of tensor.terms) {
    const rows = term.rows ?? ([0, rowCount] as const);
    const behind = term.chunks.findIndex((chunk) => !hasChunk(chunk));
    const { errorDrops, errorDrop } = term;
    if (errorDrops === undefined) {
      // Exact, or of unknown worth: all of it, on top of rows that are as they were when it was made.
      if (behind === -1 && !damaged.some((range) => overlap(range, rows))) {
        terms.push(term);
        continue;
      }
      rise = rise === undefined || errorDrop === undefined ? undefined : rise + errorDrop;
    } else if (behind === -1) {
      terms.push(term);
      continue;
    } else {
      if (rise !== undefined) for (const drop of errorDrops.slice(behind)) rise += drop;
      if (behind > 0) terms.push(firstChunks(term, behind));
    }
    if (rows[1] > baseRows) return undefined;
    damaged.push(rows);
  }
  return { terms, squaredErrorRise: rise };
}

function firstChunks(term: ArchiveTerm, count: number): ArchiveTerm {
  const { codec, rows, chunks, missing = 0, errorDrops, params } = term;
  return {
    codec,
    ...(rows === undefined ? {} : { rows }),
    chunks: chunks.slice(0, count),
    missing: missing + chunks.length - count,
    ...(errorDrops === undefined ? {} : { errorDrops: errorDrops.slice(0, count) }),
    params,
  };
}

/** Rows of the matrix view that the base can stand in for: none where its dtype cannot be converted. */
function baseRowCount({ base, dtype, shape, columns }: ArchiveTensor): number {
  if (base === undefined) return 0;
  const baseDtype = base.dtype ?? dtype;
  const isUsable = baseDtype === dtype || (isFloatDtype(baseDtype) && isFloatDtype(dtype));
  return isUsable ? Math.floor(elementCount(base.shape ?? shape) / columns) : 0;
}

function overlap(x: readonly [number, number], y: readonly [number, number]): boolean {
  return x[0] < y[1] && y[0] < x[1];
}

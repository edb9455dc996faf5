/**
 * The order of chunks in an archive (docs/spec/archive.md §8): first what no tensor can do without, then
 * additive chunks by the error they take off per byte, then the exact terms on top of lossy ones. So a prefix
 * of the file is the best model of its size, and the lossy part ends where the exact one begins.
 */
import { roundLoss } from '../../formats/ere/round-loss.js';
import type { StoredChunk, StoredTerm } from './stored-chunks.js';

/** Terms of one tensor in order of application, and what is known of their worth. */
export interface OrderedTensor {
  readonly terms: readonly StoredTerm[];
  /** Exact terms on top, applied behind `terms`. */
  readonly refinement: readonly StoredTerm[];
  /** Of `terms`, measured. */
  readonly squaredError: number;
  readonly squaredResidual: number;
}

/** A term whose chunks have their numbers. */
export interface PlacedTerm {
  readonly term: StoredTerm;
  readonly chunks: readonly number[];
  /** Estimated decrease of the squared error by each chunk; absent for exact terms. */
  readonly errorDrops?: readonly number[];
}

/** Significant digits of a stored error drop: an estimate good to a few per cent is not worth more bytes. */
const DROP_DIGITS = 3;

const FIXED = 0;
const ADDITIVE = 1;
const REFINEMENT = 2;

interface Entry {
  readonly phase: number;
  /** Error taken off per byte. */
  readonly slope: number;
  readonly tensor: number;
  readonly term: number;
  readonly chunk: number;
  readonly content: StoredChunk;
}

/**
 * Adds every chunk of every term in the archive's order.
 * @param add appends a chunk and returns its number
 * @returns by tensor its terms, those on top behind the others
 */
export function placeTerms(
  tensors: readonly OrderedTensor[],
  add: (chunk: StoredChunk) => number,
): PlacedTerm[][] {
  const drops = tensors.map(errorDrops);
  const numbers = tensors.map(({ terms, refinement }) =>
    [...terms, ...refinement].map((term) => term.chunks.map(() => -1)),
  );
  const entries = tensors.flatMap((tensor, t) => [
    ...lossyEntries(tensor, t, drops[t]!),
    ...refinementEntries(tensor, t),
  ]);
  entries.sort(
    (x, y) =>
      x.phase - y.phase ||
      (x.slope === y.slope ? 0 : y.slope - x.slope) ||
      x.tensor - y.tensor ||
      x.term - y.term ||
      x.chunk - y.chunk,
  );
  /** Equal terms of tied tensors are one object: stored once. */
  const placed = new Map<StoredChunk, number>();
  for (const { tensor, term, chunk, content } of entries) {
    const number = placed.get(content) ?? add(content);
    placed.set(content, number);
    numbers[tensor]![term]![chunk] = number;
  }
  return tensors.map(({ terms, refinement }, t) =>
    [...terms, ...refinement].map((term, m): PlacedTerm => {
      const own = drops[t]![m];
      return {
        term,
        chunks: numbers[t]![m]!,
        ...(own === undefined ? {} : { errorDrops: own.map((drop) => roundLoss(drop, DROP_DIGITS)) }),
      };
    }),
  );
}

/**
 * Per term of the lossy tensor the decrease of the squared error by each chunk; undefined for exact terms. Codecs
 * say it without the noise of their quantisers; scaled, the decreases add up to what was measured.
 */
function errorDrops(tensor: OrderedTensor): (readonly number[] | undefined)[] {
  const claimed = tensor.terms.map(({ chunks }) => chunks.map(({ squaredErrorDrop }) => squaredErrorDrop));
  const total = claimed.flat().reduce((sum, drop) => sum + drop, 0);
  if (total === 0) return claimed.map(() => undefined);
  const scale = Math.max(0, tensor.squaredResidual - tensor.squaredError) / total;
  return claimed.map((drops) =>
    drops.some((drop) => drop > 0) ? drops.map((drop) => drop * scale) : undefined,
  );
}

function lossyEntries(
  { terms }: OrderedTensor,
  tensor: number,
  drops: readonly (readonly number[] | undefined)[],
): Entry[] {
  return terms.flatMap(({ chunks }, term) => {
    const own = drops[term];
    // A later chunk of a term must not overtake an earlier one.
    let slope = Number.POSITIVE_INFINITY;
    return chunks.map(({ chunk: content }, chunk) => {
      if (own !== undefined) slope = Math.min(slope, own[chunk]! / Math.max(1, content.byteLength));
      return { phase: own === undefined ? FIXED : ADDITIVE, slope, tensor, term, chunk, content };
    });
  });
}

/** A refined tensor has no error left: the chunks of one stay together. */
function refinementEntries({ terms, refinement, squaredError }: OrderedTensor, tensor: number): Entry[] {
  const byteLength = refinement
    .flatMap(({ chunks }) => chunks)
    .reduce((sum, { chunk }) => sum + chunk.byteLength, 0);
  const slope = squaredError / Math.max(1, byteLength);
  return refinement.flatMap(({ chunks }, m) =>
    chunks.map(({ chunk: content }, chunk) => ({
      phase: REFINEMENT,
      slope,
      tensor,
      term: terms.length + m,
      chunk,
      content,
    })),
  );
}

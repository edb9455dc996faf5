/**
 * The order of chunks in an archive (docs/spec/archive.md §8): first what no tensor can do without, tensor by tensor,
 * then additive chunks by the error they take off per byte, then the exact terms on top of lossy ones. So a prefix
 * of the file is the best model of its size, and the lossy part ends where the exact one begins.
 */
import { roundLoss } from '../../formats/ere/round-loss.js';
import { type StoredChunk, type StoredTerm, storedByteLength } from './stored-chunks.js';

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
  /** The same of an exact term as a whole, where it is part of a lossy tensor. */
  readonly errorDrop?: number;
}

/** Significant digits of a stored error drop: an estimate good to a few per cent is not worth more bytes. */
const DROP_DIGITS = 3;

const ALL_ROWS = [0, Number.POSITIVE_INFINITY] as const;

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
      const { byChunk, whole } = drops[t]![m] ?? {};
      return {
        term,
        chunks: numbers[t]![m]!,
        ...(byChunk === undefined ? {} : { errorDrops: byChunk.map((drop) => roundLoss(drop, DROP_DIGITS)) }),
        ...(whole === undefined ? {} : { errorDrop: roundLoss(whole, DROP_DIGITS) }),
      };
    }),
  );
}

/** What a term takes off the squared error: by chunk, or as a whole where it is exact. */
interface ErrorDrops {
  readonly byChunk?: readonly number[];
  readonly whole?: number;
}

/**
 * Per term of the lossy tensor the decrease of the squared error; nothing for exact terms by themselves. Codecs
 * say it without the noise of their quantisers; scaled, the decreases add up to what was measured.
 */
function errorDrops(tensor: OrderedTensor): ErrorDrops[] {
  const claimed = tensor.terms.map(({ chunks }) => chunks.map(({ squaredErrorDrop }) => squaredErrorDrop));
  const ofWholes = tensor.terms.reduce((sum, { squaredErrorDrop = 0 }) => sum + squaredErrorDrop, 0);
  const total = claimed.flat().reduce((sum, drop) => sum + drop, ofWholes);
  if (total <= 0) return claimed.map(() => ({}));
  const scale = Math.max(0, tensor.squaredResidual - tensor.squaredError) / total;
  return claimed.map((drops, term) => {
    const whole = tensor.terms[term]!.squaredErrorDrop;
    if (whole !== undefined) return { whole: Math.max(0, whole * scale) };
    return drops.some((drop) => drop > 0) ? { byChunk: drops.map((drop) => drop * scale) } : {};
  });
}

function lossyEntries({ terms }: OrderedTensor, tensor: number, drops: readonly ErrorDrops[]): Entry[] {
  /** The least slope of the terms so far: what stands on them must not overtake them. */
  let least = Number.POSITIVE_INFINITY;
  return terms.flatMap(({ chunks }, term) => {
    const { byChunk, whole } = drops[term]!;
    const phase = isNeeded(terms, drops, term) ? FIXED : ADDITIVE;
    const byteLength = storedByteLength([terms[term]!]);
    // A later chunk of a term must not overtake an earlier one.
    let slope =
      whole === undefined ? Number.POSITIVE_INFINITY : Math.min(least, whole / Math.max(1, byteLength));
    const entries = chunks.map(({ chunk: content }, chunk) => {
      if (byChunk !== undefined) slope = Math.min(slope, byChunk[chunk]! / Math.max(1, content.byteLength));
      return { phase, slope: phase === FIXED ? 0 : slope, tensor, term, chunk, content };
    });
    if (phase === ADDITIVE) least = Math.min(least, slope);
    return entries;
  });
}

/** Whether a term is exact, or an exact one stands on it: without either, the other is no use. */
function isNeeded(terms: readonly StoredTerm[], drops: readonly ErrorDrops[], term: number): boolean {
  const [first, end] = terms[term]!.rows ?? ALL_ROWS;
  return terms.some(({ rows = ALL_ROWS }, later) => {
    const { byChunk, whole } = drops[later]!;
    const isExact = byChunk === undefined && whole === undefined;
    return later >= term && isExact && first < rows[1] && rows[0] < end;
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

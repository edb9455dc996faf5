/**
 * What a checkpoint is expected to take when it is coded against a reference, from sketches of both: a choice between
 * references for a chain (docs/spec/store.md) needs ranks and rough ratios, not bytes. Low-rank structure is not
 * seen, and the cost of index and headers is left out.
 */
import { DTYPES, elementCount, isFloatDtype } from '../../formats/dtype.js';
import { MAX_SAMPLES, type Sketch, type SketchedTensor } from '../../formats/sketch/sketch.js';
import { type CommonSamples, commonSamples } from './compare-tensors.js';
import { roundTo, unitInLastPlace } from './float-format.js';
import { isSameButForRows, matchNames } from './match-names.js';
import { type Cell, ESCAPED_BITS, fitResidual } from './residual-model.js';

/** How it is to be coded: bit for bit, or with a uniform quantiser of this step for the residual, in units of the weights. */
export type ExpectedCoding = { readonly lossless: true } | { readonly step: number };

export interface ExpectedBits {
  /** Over all tensors. */
  readonly bits: number;
  /** bits / elements of the checkpoint; 0 without elements. */
  readonly bitsPerWeight: number;
  /** bits over those of the checkpoint's own tensors; 0 without. */
  readonly ratio: number;
  /** Σ(w − w_reference)² and what of it the quantiser leaves, over float tensors that the reference has; not finite ones aside. */
  readonly squaredResidual: number;
  readonly squaredError: number;
}

/**
 * @param reference what it would be coded against; undefined for nothing at all
 * @throws RangeError for a step that is not a finite number over 0
 */
export function expectedBits(
  fineTuned: Sketch,
  reference: Sketch | undefined,
  coding: ExpectedCoding,
): ExpectedBits {
  if ('step' in coding && !(coding.step > 0 && coding.step < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`expected a finite step over 0, got ${coding.step}`);
  }
  const referenceTensors = reference?.tensors ?? new Map<string, SketchedTensor>();
  const { baseNames } = matchNames(referenceTensors, fineTuned.tensors);
  const parts: Part[] = [];
  let [elements, storedBits] = [0, 0];
  for (const [name, tensor] of fineTuned.tensors) {
    const baseName = baseNames.get(name);
    const found = baseName === undefined ? undefined : referenceTensors.get(baseName);
    const count = elementCount(tensor.shape);
    elements += count;
    storedBits += count * DTYPES[tensor.dtype].bits;
    parts.push(...partsOf(tensor, found, coding));
  }
  const sparse = sparseModel(parts);
  const sumOf = (each: (part: Part) => number) =>
    parts.reduce((sum, part) => sum + part.elementCount * each(part), 0);
  const bits = sumOf((part) => bitsPerElement(part, sparse));
  return {
    squaredResidual: sumOf((part) => meanSquare(part, ({ difference }) => difference)),
    squaredError: 'step' in coding ? sumOf((part) => meanSquare(part, ({ error }) => error)) : 0,
    bits,
    bitsPerWeight: elements === 0 ? 0 : bits / elements,
    ratio: storedBits === 0 ? 0 : bits / storedBits,
  };
}

/** A cell with the difference that lies in it, and its distance from the middle, which stands for it. */
interface SampledCell extends Cell {
  readonly difference: number;
  readonly error: number;
}

/** Elements of one tensor that are coded alike. */
interface Part {
  readonly elementCount: number;
  /** Bits of an element as it is: no code is longer. */
  readonly width: number;
  /** Of the samples; undefined for values that are not finite, which are stored as they are. */
  readonly cells: readonly (SampledCell | undefined)[];
  /** Whether there is something that the cells can be equal to. */
  readonly isPredicted: boolean;
}

/** Nothing for a tensor that the reference is known to have; two parts where the reference lacks some rows. */
function partsOf(
  tensor: SketchedTensor,
  reference: SketchedTensor | undefined,
  coding: ExpectedCoding,
): readonly Part[] {
  const count = elementCount(tensor.shape);
  const { bits: width } = DTYPES[tensor.dtype];
  // Added values and rows are coded exactly.
  const fromZero = { fineTuned: tensor.samples, base: new Float32Array(tensor.samples.length) };
  const whole = { elementCount: count, width, cells: ulpCells(tensor, fromZero), isPredicted: false };
  if (reference === undefined || !isSameButForRows(reference.shape, tensor.shape)) return [whole];
  const isSameLayout = reference.dtype === tensor.dtype && reference.shape.join() === tensor.shape.join();
  if (isSameLayout && tensor.digest !== undefined && tensor.digest === reference.digest) return [];
  const common = commonSamples(tensor, reference);
  if (common.base.length === 0) return [whole];
  const cells = 'step' in coding ? stepCells(common, coding.step) : ulpCells(tensor, common);
  const [rows, referenceRows] = [tensor.shape[0] ?? 1, reference.shape[0] ?? 1];
  const commonCount = count * Math.min(1, referenceRows / rows);
  const predicted = { elementCount: commonCount, width, cells, isPredicted: true };
  return commonCount === count ? [predicted] : [predicted, { ...whole, elementCount: count - commonCount }];
}

/** Of the samples that are finite, where there is a reference. */
function meanSquare({ cells, isPredicted }: Part, of: (cell: SampledCell) => number): number {
  const finite = cells.filter((cell) => cell !== undefined);
  if (!isPredicted || finite.length === 0) return 0;
  return finite.reduce((sum, cell) => sum + of(cell) ** 2, 0) / finite.length;
}

function bitsPerElement({ width, cells, isPredicted }: Part, sparse: SparseModel): number {
  const finite = cells.filter((cell) => cell !== undefined);
  if (finite.length === 0) return width;
  const share = finite.length / cells.length;
  const changedCount = changedOf(finite).length;
  const bits =
    isPredicted && changedCount < FEW_CHANGES
      ? sparseBits(sparse, changedCount, finite.length)
      : fitResidual(finite).bits;
  return Math.min(width, share * bits + (1 - share) * width);
}

/** Changed samples from which on a tensor speaks for itself. */
const FEW_CHANGES = 4;

/** Most changed samples, of all tensors, that the length of a change is taken from. */
const FIRST_CHANGES = 512;

/** Of checkpoints in which little changes, what single tensors have too few changed samples to tell. */
interface SparseModel {
  /** Share of all samples that changed. */
  readonly changedShare: number;
  /** Mean bits of a change, given that there is one. */
  readonly changeBits: number;
}

function sparseModel(parts: readonly Part[]): SparseModel {
  const cells = parts.flatMap((part) =>
    part.isPredicted ? part.cells.filter((cell) => cell !== undefined) : [],
  );
  const changed = changedOf(cells);
  // In units of the cell, so that tensors of different scale count alike.
  const first = changed.slice(0, FIRST_CHANGES);
  const relative = first.flatMap(({ low, high, isZero }) => {
    const width = high - low;
    // 0 where the difference is so much larger that float64 has no such cell: a weight that became 0, say.
    return width > 0 ? [{ low: low / width, high: high / width, isZero }] : [];
  });
  const escaped = ESCAPED_BITS * (first.length - relative.length);
  const fitted = relative.length === 0 ? 0 : relative.length * fitResidual(relative).bits;
  return {
    // Half a change more: none among the samples does not prove that there is none.
    changedShare: (changed.length + 0.5) / (cells.length + 1),
    changeBits: first.length === 0 ? 1 : (fitted + escaped) / first.length,
  };
}

/** Where and what, the share of this tensor drawn towards that of all as if by as many samples again. */
function sparseBits({ changedShare, changeBits }: SparseModel, changedCount: number, count: number): number {
  const share = (changedCount + changedShare * MAX_SAMPLES) / (count + MAX_SAMPLES);
  return -share * Math.log2(share) - (1 - share) * Math.log2(1 - share) + share * changeBits;
}

function changedOf(cells: readonly Cell[]): Cell[] {
  return cells.filter(({ isZero }) => !isZero);
}

/** The differences that round to the value that is there. */
function ulpCells(
  { dtype }: SketchedTensor,
  { fineTuned, base }: CommonSamples,
): (SampledCell | undefined)[] {
  if (!isFloatDtype(dtype)) return [];
  const rounded = roundTo(dtype, base);
  return Array.from(fineTuned, (value, i) => {
    const difference = value - base[i]!;
    if (!Number.isFinite(difference)) return undefined;
    const half = unitInLastPlace(dtype, value) / 2;
    const isZero = value === rounded[i];
    return { low: difference - half, high: difference + half, isZero, difference, error: 0 };
  });
}

/** The differences that a quantiser of this step takes for the same. */
function stepCells({ fineTuned, base }: CommonSamples, step: number): (SampledCell | undefined)[] {
  return Array.from(fineTuned, (value, i) => {
    const difference = value - base[i]!;
    const level = Math.round(difference / step);
    if (!Number.isFinite(level)) return undefined;
    const error = difference - level * step;
    return { low: (level - 0.5) * step, high: (level + 0.5) * step, isZero: level === 0, difference, error };
  });
}

/**
 * Models repeat one block many times; a report that lists 300 tensors hides what 12 lines show.
 * Tensors whose names differ only in their numbers, and that were handled alike, form a group.
 */
import type { TensorCase, TensorReport } from '../residual/api.js';

export interface TensorGroup {
  /** Name with every number that varies within the group as '*'; the tensor's own name for a group of one. */
  readonly pattern: string;
  readonly case: TensorCase;
  readonly tensors: readonly TensorReport[];
  /** Smallest and largest rank. */
  readonly rank: readonly [low: number, high: number];
  /** Sums over the group. */
  readonly byteLength: number;
  readonly fineTunedByteLength: number;
  /** Smallest and largest relative error. */
  readonly relativeError: readonly [low: number, high: number];
  readonly bitsPerWeight: readonly [low: number, high: number];
  /** Over the members that have one; undefined when all are exact. */
  readonly signalToNoiseDb: readonly [low: number, high: number] | undefined;
  readonly keptEnergy: readonly [low: number, high: number];
  /** Over the members that state one. */
  readonly boundGapBits: readonly [low: number, high: number] | undefined;
}

// A number that is a whole component of the name: `layers.3.mlp`, not `conv2d` or `w1`.
const NUMBER_COMPONENT = /^\d+$/;

/** What decides on a tensor's group. */
export interface GroupableTensor {
  readonly name: string;
  /** How it was handled. */
  readonly case: string;
  readonly dtype?: string;
}

/** Tensors that one line stands for. */
export interface PatternGroup<Tensor extends GroupableTensor> {
  /** As in TensorGroup. */
  readonly pattern: string;
  readonly case: Tensor['case'];
  readonly tensors: readonly Tensor[];
}

/** Groups in order of first appearance; with `each`, one group per tensor. */
export function groupByPattern<Tensor extends GroupableTensor>(
  tensors: readonly Tensor[],
  each = false,
): PatternGroup<Tensor>[] {
  const members = new Map<string, Tensor[]>();
  for (const tensor of tensors) {
    const key = each ? tensor.name : JSON.stringify([blankNumbers(tensor.name), tensor.case, tensor.dtype]);
    const group = members.get(key);
    if (group === undefined) members.set(key, [tensor]);
    else group.push(tensor);
  }
  return [...members.values()].map((group) => ({
    pattern: commonPattern(group.map((tensor) => tensor.name)),
    case: group[0]!.case,
    tensors: group,
  }));
}

/** Groups in order of first appearance, with sums and extents; with `each`, one group per tensor. */
export function groupTensors(tensors: readonly TensorReport[], each = false): TensorGroup[] {
  return groupByPattern(tensors, each).map(summarise);
}

function summarise(group: PatternGroup<TensorReport>): TensorGroup {
  const { tensors } = group;
  const sum = (value: (tensor: TensorReport) => number) =>
    tensors.reduce((total, tensor) => total + value(tensor), 0);
  return {
    ...group,
    rank: extent(tensors.map((tensor) => tensor.rank)),
    byteLength: sum((tensor) => tensor.byteLength),
    fineTunedByteLength: sum((tensor) => tensor.fineTunedByteLength),
    relativeError: extent(tensors.map((tensor) => tensor.relativeError)),
    bitsPerWeight: extent(tensors.map((tensor) => tensor.bitsPerWeight)),
    signalToNoiseDb: extentOfKnown(tensors.map((tensor) => tensor.signalToNoiseDb)),
    keptEnergy: extent(tensors.map((tensor) => tensor.keptEnergy)),
    boundGapBits: extentOfKnown(tensors.map((tensor) => tensor.boundGapBits)),
  };
}

function blankNumbers(name: string): string {
  return name
    .split('.')
    .map((part) => (NUMBER_COMPONENT.test(part) ? '*' : part))
    .join('.');
}

/** Names of one group have the same number of components and differ in numbers only. */
function commonPattern(names: readonly string[]): string {
  const parts = names[0]!.split('.');
  const others = names.slice(1).map((name) => name.split('.'));
  return parts.map((part, index) => (others.every((other) => other[index] === part) ? part : '*')).join('.');
}

/** Smallest and largest. @param values at least one */
export function extent(values: readonly number[]): [number, number] {
  let [low, high] = [values[0]!, values[0]!];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low, high];
}

function extentOfKnown(values: readonly (number | undefined)[]): [number, number] | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : extent(known);
}

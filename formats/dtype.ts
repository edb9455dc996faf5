/**
 * Element types of the safetensors format (safetensors/src/tensor.rs `Dtype`), with their widths.
 * Only FLOAT_DTYPES take part in float arithmetic; every other one is stored exactly.
 */

export type DtypeKind = 'float' | 'integer' | 'boolean' | 'complex' | 'packed';

interface DtypeInfo {
  /** Width of one element in bits; below 8 for packed sub-byte types. */
  readonly bits: number;
  readonly kind: DtypeKind;
}

export const DTYPES = {
  BOOL: { bits: 8, kind: 'boolean' },
  F4: { bits: 4, kind: 'packed' },
  F6_E2M3: { bits: 6, kind: 'packed' },
  F6_E3M2: { bits: 6, kind: 'packed' },
  U8: { bits: 8, kind: 'integer' },
  I8: { bits: 8, kind: 'integer' },
  F8_E5M2: { bits: 8, kind: 'float' },
  F8_E4M3: { bits: 8, kind: 'float' },
  F8_E8M0: { bits: 8, kind: 'packed' },
  F8_E4M3FNUZ: { bits: 8, kind: 'packed' },
  F8_E5M2FNUZ: { bits: 8, kind: 'packed' },
  I16: { bits: 16, kind: 'integer' },
  U16: { bits: 16, kind: 'integer' },
  F16: { bits: 16, kind: 'float' },
  BF16: { bits: 16, kind: 'float' },
  I32: { bits: 32, kind: 'integer' },
  U32: { bits: 32, kind: 'integer' },
  F32: { bits: 32, kind: 'float' },
  C64: { bits: 64, kind: 'complex' },
  F64: { bits: 64, kind: 'float' },
  I64: { bits: 64, kind: 'integer' },
  U64: { bits: 64, kind: 'integer' },
} as const satisfies Record<string, DtypeInfo>;

export type Dtype = keyof typeof DTYPES;

/** The dtypes whose residual is taken in float arithmetic. */
export const FLOAT_DTYPES = ['F64', 'F32', 'F16', 'BF16', 'F8_E4M3', 'F8_E5M2'] as const;
export type FloatDtype = (typeof FLOAT_DTYPES)[number];

export function isDtype(name: unknown): name is Dtype {
  return typeof name === 'string' && Object.hasOwn(DTYPES, name);
}

export function isFloatDtype(dtype: Dtype): dtype is FloatDtype {
  return DTYPES[dtype].kind === 'float';
}

/** Number of elements of a shape; 1 for a scalar. NaN-free: throws RangeError over 2^53. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const dimension of shape) count *= dimension;
  if (!Number.isSafeInteger(count))
    throw new RangeError(`shape [${shape.join(', ')}] has over 2^53 elements`);
  return count;
}

/** Bytes that a tensor takes, or undefined where its bits do not fill whole bytes. */
export function tensorByteLength(dtype: Dtype, shape: readonly number[]): number | undefined {
  const bits = elementCount(shape) * DTYPES[dtype].bits;
  return Number.isSafeInteger(bits) && bits % 8 === 0 ? bits / 8 : undefined;
}

/** Checks the options of decode. */
import type { DecodeOptions } from './api.js';
import { assertCommonOptions } from './encode-options.js';

/** @throws RangeError, TypeError on options out of range or at odds with one another */
export function assertDecodeOptions(options: DecodeOptions): void {
  assertCommonOptions(options);
  if (options.tensors === undefined) return;
  if (options.tensors.length === 0) throw new RangeError('expected at least one name in tensors, got none');
  if (!options.output.endsWith('.safetensors')) {
    throw new TypeError(
      `expected an output that ends in .safetensors for single tensors, got ${options.output}`,
    );
  }
}

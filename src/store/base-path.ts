/** A path where a base can be read: where it lies, or where a kept one is decoded to. */
import { join } from 'node:path';
import { isEreError } from '../../formats/errors.js';
import { type CheckoutInputs, checkoutVersion, commonOptions } from './checkout.js';
import { locateBase } from './located-bases.js';
import type { StoredBase, StoreReader } from './store-reader.js';

/**
 * @param folder room for a base that only the store has
 * @throws NotFoundError for one that is nowhere
 */
export async function basePathOf(
  reader: StoreReader,
  base: StoredBase,
  folder: string,
  options: CheckoutInputs,
): Promise<string> {
  try {
    return await locateBase(reader, base, options.basePath);
  } catch (error) {
    if (!base.ref.isKept || !isEreError(error, 'ERE_NOT_FOUND')) throw error;
    const output = join(folder, 'base');
    await checkoutVersion(reader, base, { ...commonOptions(options), output, sideFiles: false });
    return output;
  }
}

/** Reading what may not be there. */
import { isEreError } from '../../formats/errors.js';

/** What a read gives; undefined where it fails with a NotFoundError. Any other error is thrown on. */
export async function unlessMissing<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    if (isEreError(error, 'ERE_NOT_FOUND')) return undefined;
    throw error;
  }
}

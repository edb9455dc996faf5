/** Failing operations leave nothing behind. */
import { expect } from 'vitest';
import { EreError } from '../../formats/errors.js';
import { listTree } from './temp-folder.js';

/** Runs what must fail, and checks that the folder holds what it held before, temporary files included. */
export async function failsCleanly(folder: string, run: () => Promise<unknown>): Promise<EreError> {
  const before = await listTree(folder);
  const error = await run().then(
    () => expect.fail('expected an error'),
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(EreError);
  expect(await listTree(folder)).toEqual(before);
  return error;
}

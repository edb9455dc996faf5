/** Versions of which next to nothing changed: a lossless commit of them. */
import { expect, test } from 'vitest';
import type { FloatDtype } from '../../formats/dtype.js';
import { floatTensor, type Model } from '../helpers/models.js';
import { withEmptyStore } from '../helpers/stores.js';
import { normalFloats } from '../kernels/samples.js';

const SHAPE = [96, 80] as const;

/** A matrix of every dtype, each with some elements of its own. */
function model(change: (values: Float32Array) => void): Model {
  const tensors = (['F32', 'BF16', 'F16'] as const).map((dtype: FloatDtype, i) => {
    const values = normalFloats(SHAPE[0] * SHAPE[1], i);
    change(values);
    return floatTensor(`layers.${i}.weight`, dtype, SHAPE, values);
  });
  return { tensors };
}

test('one element of a matrix is committed without a loss, also on top of another such version', async () => {
  await withEmptyStore(async ({ store, write, commit, expectCheckout }) => {
    await store.addBase(
      'base',
      await write(
        'base',
        model(() => {}),
      ),
      { threads: 1 },
    );
    const changes: readonly ((values: Float32Array) => void)[] = [
      (values) => {
        values[0]! += 1;
      },
      (values) => {
        values[0]! += 1;
        values[4000]! += 30;
      },
      (values) => {
        values[0] = 0;
        values[4000] = 1e-40;
      },
    ];
    for (const change of changes) {
      const { id, path, version } = await commit(model(change));
      expect(version.relativeError).toBe(0);
      await expectCheckout(id, path);
    }
  });
});

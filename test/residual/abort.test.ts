/** An abort stops encode and decode wherever they are; nothing is left behind. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isEreError } from '../../formats/errors.js';
import { decode, encode, type Progress } from '../../src/index.js';
import { matrixPair, modelPair, QUICK, withModels } from '../helpers/models.js';
import { failsCleanly } from '../helpers/nothing-left.js';

const models = modelPair(Array.from({ length: 8 }, (_, i) => matrixPair(`w${i}`, [60, 50 + i], i)));
const budget = { kind: 'ratio', ratio: 0.2 } as const;

/** Aborts at the first report of the phase; counts those that follow. */
function abortAt(phase: Progress['phase']) {
  const controller = new AbortController();
  const reports: Progress[] = [];
  return {
    signal: controller.signal,
    reports,
    onProgress: (progress: Progress) => {
      reports.push(progress);
      if (progress.phase === phase) controller.abort(new Error('enough'));
    },
  };
}

for (const threads of [1, 2]) {
  describe(`with ${threads} thread${threads > 1 ? 's' : ''}`, () => {
    it('encode stops in every phase, and decode in the middle', async () => {
      await withModels(models, async (base, tuned, folder) => {
        const output = join(folder, 'a.ere');
        const options = { ...QUICK, threads, base, output, budget };
        for (const phase of ['analyse', 'encode'] as const) {
          const { reports, ...aborting } = abortAt(phase);
          const error = await failsCleanly(folder, () => encode(tuned, { ...options, ...aborting }));
          expect(isEreError(error, 'ERE_ABORTED')).toBe(true);
          expect(error.cause).toMatchObject({ message: 'enough' });
          const after = reports.filter((report) => report.phase === phase);
          expect(after.length).toBeLessThan(8);
        }
        await encode(tuned, options);

        for (const name of ['out', 'out.safetensors']) {
          const { reports, ...aborting } = abortAt('decode');
          const run = () => decode(output, { base, output: join(folder, name), threads, ...aborting });
          const error = await failsCleanly(folder, run);
          expect(isEreError(error, 'ERE_ABORTED')).toBe(true);
          expect(reports.length).toBeLessThan(8);
        }
        // Nothing lingers that would keep a second run from its output.
        await decode(output, { base, output: join(folder, 'out'), threads });
      });
    });

    it('a signal that is aborted already stops both before any work', async () => {
      await withModels(models, async (base, tuned, folder) => {
        const output = join(folder, 'a.ere');
        const signal = AbortSignal.abort();
        const options = { ...QUICK, threads, base, output, budget };
        const encoding = await failsCleanly(folder, () => encode(tuned, { ...options, signal }));
        expect(isEreError(encoding, 'ERE_ABORTED')).toBe(true);
        await encode(tuned, options);
        const out = join(folder, 'out');
        const decoding = await failsCleanly(folder, () =>
          decode(output, { base, output: out, threads, signal }),
        );
        expect(isEreError(decoding, 'ERE_ABORTED')).toBe(true);
      });
    });
  });
}

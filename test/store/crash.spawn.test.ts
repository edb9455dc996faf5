/** Processes are killed while they work on one store, at exact calls and at any time: nothing acknowledged is lost. */
import { expect, test } from 'vitest';
import { runCrashes } from '../helpers/crash-run.js';
import { withTempFolder } from '../helpers/temp-folder.js';

// `npm run test:crash` kills 200.
test('writers that are killed at random calls of commit, gc and repair lose nothing', async () => {
  await withTempFolder(async (folder) => {
    const report = await runCrashes(folder, { killCount: 16, seed: 5 });
    expect(report).toMatchObject({ errors: [], lost: [], left: [], repaired: [], leftoverCount: 0 });
    expect(report.killCount).toBeGreaterThanOrEqual(16);
    expect(report.committedCount).toBeGreaterThan(4);
  });
}, 120_000);

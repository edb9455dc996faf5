/** Kills processes that work on one store, 200 or as many as argv says, and prints what is left: nothing lost. */
import { runCrashes } from '../helpers/crash-run.js';
import { withTempFolder } from '../helpers/temp-folder.js';

const killCount = Number(process.argv[2] ?? 200);
const seed = Number(process.argv[3] ?? 1);
await withTempFolder(async (folder) => {
  const report = await runCrashes(folder, { killCount, seed });
  console.log(JSON.stringify(report, undefined, 2));
  const { errors, lost, repaired, leftoverCount } = report;
  const isFine = repaired.every(({ isRepaired }) => isRepaired) && leftoverCount === 0;
  if (errors.length > 0 || lost.length > 0 || !isFine) process.exitCode = 1;
});

/** `npm run demo`: runs the demo in a temporary folder that it removes, also when interrupted. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exitCodeOf, exitStatus } from '../../cli/exit-codes.js';
import { interruptSignal } from '../../cli/signals.js';
import { runDemo } from './run-demo.js';

const signal = interruptSignal(process);
const folder = await mkdtemp(join(tmpdir(), 'ere-demo-'));
try {
  process.stdout.write(await runDemo(folder, { signal }));
} catch (error) {
  if (!signal.aborted) throw error;
  process.exitCode = exitStatus(exitCodeOf(error, signal.reason));
} finally {
  await rm(folder, { recursive: true, force: true });
}

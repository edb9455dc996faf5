#!/usr/bin/env node
/** The `ere` executable: wires the process to `run` and lets the event loop drain before it exits. */
import nodeModule from 'node:module';

// Compiled code is kept for the next start; from Node 22.1 on, and NODE_DISABLE_COMPILE_CACHE=1 turns it off.
(nodeModule as { readonly enableCompileCache?: () => unknown }).enableCompileCache?.();
const [{ loadOperations }, { run }, { interruptSignal }] = await Promise.all([
  import('./context.js'),
  import('./program.js'),
  import('./signals.js'),
]);

const { stdout, stderr } = process;
// A reader that went away (`ere inspect … | head`) is no failure; other write errors reach the writer.
for (const stream of [stdout, stderr]) stream.on('error', () => {});
process.exitCode = await run(process.argv.slice(2), {
  stdout,
  stderr,
  signal: interruptSignal(process),
  loadOperations,
});

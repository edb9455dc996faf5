#!/usr/bin/env node
/** The `ere` executable: wires the process to `run` and lets the event loop drain before it exits. */
import { loadOperations } from './context.js';
import { run } from './program.js';
import { interruptSignal } from './signals.js';

const { stdout, stderr } = process;
// A reader that went away (`ere inspect … | head`) is no failure; other write errors reach the writer.
for (const stream of [stdout, stderr]) stream.on('error', () => {});
process.exitCode = await run(process.argv.slice(2), {
  stdout,
  stderr,
  signal: interruptSignal(process),
  environment: process.env,
  loadOperations,
});

/**
 * `node run-ere.js FOLDER ARGUMENT…`: `ere ARGUMENT…`, which also leaves FOLDER/process.json, a ProcessFigures:
 * when passes over the tensors ended, what was read and written by then, and how much memory was resident at most.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setEnvironmentData } from 'node:worker_threads';
import { loadOperations, type Operations } from '../../../cli/context.js';
import { run } from '../../../cli/program.js';
import { interruptSignal } from '../../../cli/signals.js';
import { PRODUCTS_FOLDER } from './count-products.js';
import { type Moment, type Pass, PassRecorder } from './phases.js';
import { moment, peakResidentByteLength } from './process-figures.js';

/** What a process says of itself. */
export interface ProcessFigures {
  /** Zero of the moments. */
  readonly startEpochMs: number;
  readonly passes: readonly Pass[];
  readonly end: Moment;
  readonly peakByteLength: number;
  /** Of all threads, user and system. */
  readonly processorMs: number;
  /** System alone. */
  readonly systemMs: number;
}

const [folder, ...argv] = process.argv.slice(2);
if (folder === undefined) throw new TypeError('expected a folder and the arguments of ere');
setEnvironmentData(PRODUCTS_FOLDER, folder);
const recorder = new PassRecorder(moment);

/** The operations of the benchmark, told of in another way than on a terminal. */
async function recordedOperations(): Promise<Operations> {
  const operations = await loadOperations();
  const onProgress = recorder.add.bind(recorder);
  return {
    ...operations,
    encode: (path, options) => operations.encode(path, { ...options, onProgress }),
    estimateEncode: (path, options) => operations.estimateEncode(path, { ...options, onProgress }),
    decode: (path, options) => operations.decode(path, { ...options, onProgress }),
  };
}

const { stdout, stderr } = process;
process.exitCode = await run(argv, {
  stdout,
  stderr,
  signal: interruptSignal(process),
  environment: process.env,
  loadOperations: recordedOperations,
});
const { user, system } = process.cpuUsage();
const figures: ProcessFigures = {
  startEpochMs: performance.timeOrigin,
  passes: recorder.passes,
  end: moment(),
  peakByteLength: peakResidentByteLength(),
  processorMs: (user + system) / 1000,
  systemMs: system / 1000,
};
writeFileSync(join(folder, 'process.json'), JSON.stringify(figures));

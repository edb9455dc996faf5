/**
 * `npm run make:checkpoint -- --params 1B --out DIR [--seed 1] [--shard-size 1GB] [--threads N]`: a generated
 * Llama-shaped base and fine-tune in bf16, as the model folders DIR/base and DIR/fine-tuned. What the benchmarks of
 * scale run on; nothing of it is committed.
 */
import { parseArgs } from 'node:util';
import { exitCodeOf, exitStatus } from '../../cli/exit-codes.js';
import { interruptSignal } from '../../cli/signals.js';
import { parseByteLength } from '../../cli/values.js';
import { makeCheckpoint } from './make-checkpoint/make-checkpoint.js';
import { parseParameterCount } from './make-checkpoint/model-shape.js';

const USAGE =
  'npm run make:checkpoint -- --params 1B --out DIR [--seed 1] [--shard-size 1GB] [--threads N]\n';

async function run(signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({
    options: {
      params: { type: 'string' },
      out: { type: 'string' },
      seed: { type: 'string' },
      'shard-size': { type: 'string' },
      threads: { type: 'string' },
    },
  });
  if (values.params === undefined || values.out === undefined) {
    throw new TypeError(`expected --params and --out: ${USAGE.trim()}`);
  }
  const started = performance.now();
  const made = await makeCheckpoint({
    parameterCount: parseParameterCount(values.params),
    output: values.out,
    ...(values.seed !== undefined && { seed: Number(values.seed) }),
    ...(values['shard-size'] !== undefined && { shardByteLength: parseByteLength(values['shard-size']) }),
    ...(values.threads !== undefined && { threads: Number(values.threads) }),
    onProgress: progress(),
    signal,
  });
  const seconds = (performance.now() - started) / 1000;
  const { model, parameterCount, byteLength, shardCount } = made;
  process.stdout.write(
    `${made.base} and ${made.fineTuned}: ${parameterCount} parameters ` +
      `(hidden ${model.hiddenSize}, ${model.layerCount} layers), 2 × ${byteLength} bytes in ${shardCount} shards; ` +
      `${seconds.toFixed(1)} s, ${((2 * byteLength) / seconds / 1e6).toFixed(0)} MB/s, ` +
      `${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB resident\n`,
  );
}

/** Tells every tenth on stderr. */
function progress(): (done: number, total: number) => void {
  let told = 0;
  return (done, total) => {
    const tenth = Math.floor((10 * done) / total);
    if (tenth === told) return;
    told = tenth;
    process.stderr.write(`${tenth * 10} %\n`);
  };
}

const signal = interruptSignal(process);
try {
  await run(signal);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = exitStatus(exitCodeOf(error, signal.reason));
}

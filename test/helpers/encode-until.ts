/**
 * A process of its own that encodes, every finished tensor going to the disk at once, and sends itself a signal when
 * so many tensors are encoded: argv is a JSON array of the fine-tune, the options, the signal and that count.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { interruptSignal } from '../../cli/signals.js';
import { encodeJournaled } from '../../src/residual/encode.js';

const [fineTuned, options, signal, count] = JSON.parse(process.argv[2]!);
let encoded = 0;
const abort = interruptSignal(process);
try {
  await encodeJournaled(
    fineTuned,
    {
      ...options,
      signal: abort,
      onProgress: ({ phase }) => {
        if (phase === 'encode' && ++encoded === count) process.kill(process.pid, signal);
      },
    },
    { memoryByteLimit: 0 },
  );
} catch (error) {
  if (!abort.aborted) throw error;
  process.stderr.write((error as Error).message);
  process.exitCode = 130;
  await sleep(0);
}

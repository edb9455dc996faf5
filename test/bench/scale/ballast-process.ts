/**
 * `node ballast-process.js BYTES`: holds so many bytes of memory, every page of it touched, says "ready" on stdout, and
 * ends when stdin does: with the process that started it, whatever becomes of that.
 */
import { writeFileSync } from 'node:fs';

const BLOCK_BYTE_LENGTH = 2 ** 28;

const byteLength = Number(process.argv[2]);
if (!Number.isSafeInteger(byteLength)) throw new TypeError(`expected bytes, got ${process.argv[2]}`);
try {
  // Where memory runs out, this process is to go first: Linux lets everyone put himself forward.
  writeFileSync('/proc/self/oom_score_adj', '1000');
} catch {} // not Linux: nothing to put forward
process.stdin.on('end', () => process.exit()).resume();
const blocks: Uint8Array[] = [];
for (let held = 0; held < byteLength; held += BLOCK_BYTE_LENGTH) {
  blocks.push(new Uint8Array(Math.min(BLOCK_BYTE_LENGTH, byteLength - held)).fill(1));
  // The end of stdin is seen between two blocks.
  await new Promise((resolve) => setImmediate(resolve));
}
process.stdout.write('ready\n');
setInterval(() => blocks.length, 2 ** 30);

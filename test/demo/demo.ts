/**
 * `npm run demo`: the main job on a real full fine-tune. Encodes test/fixtures/tinylm/python against its
 * base at 6 % of its bytes, rebuilds and verifies it, runs base, fine-tuned and rebuilt model on held-out
 * text, and prints one table. Works in a temporary folder that it removes.
 */
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { interruptSignal } from '../../cli/signals.js';
import { UnsupportedError } from '../../formats/errors.js';
import { bitsPerByte } from '../../src/evaluate/index.js';
import { decode, encode, verify } from '../../src/index.js';
import {
  formatByteLength,
  formatCount,
  formatDuration,
  formatRelativeError,
  formatShare,
} from '../../src/report/numbers.js';
import { renderTable } from '../../src/report/table.js';
import { tinylm } from '../helpers/tinylm.js';

const BASE = tinylm('base');
const FINE_TUNED = tinylm('python');
const TEXTS = ['python', 'docs'] as const;

/** Bits per byte of a model on each text, or undefined where onnxruntime-node is missing. */
async function evaluate(modelFolder: string, signal: AbortSignal): Promise<number[] | undefined> {
  const results: number[] = [];
  for (const text of TEXTS) {
    try {
      const bytes = await readFile(tinylm('eval', `${text}.bin`));
      results.push((await bitsPerByte(modelFolder, bytes, { signal })).bitsPerByte);
    } catch (error) {
      if (error instanceof UnsupportedError && error.feature === 'onnxruntime-node') return undefined;
      throw error;
    }
  }
  return results;
}

async function runDemo(folder: string, signal: AbortSignal): Promise<void> {
  const archive = join(folder, 'python.ere');
  const rebuilt = join(folder, 'rebuilt');
  const encoded = await encode(FINE_TUNED, {
    base: BASE,
    output: archive,
    budget: { kind: 'ratio', ratio: 0.06 },
    signal,
  });
  const decoded = await decode(archive, { base: BASE, output: rebuilt, signal });
  const verified = await verify(archive, { base: BASE, against: rebuilt, signal });
  const different = verified.comparison?.differentCount;
  if (different !== 0)
    throw new Error(
      `expected the rebuilt model to equal what the archive decodes to, got ${different} different tensors`,
    );

  const baseByteLength = (await stat(join(BASE, 'model.safetensors'))).size;
  const rows: [model: string, folder: string, byteLength: number, share: string, relativeError: number][] = [
    ['base', BASE, baseByteLength, '–', 1],
    ['fine-tuned', FINE_TUNED, encoded.fineTunedByteLength, formatShare(1), 0],
    [
      'rebuilt from base + .ere',
      rebuilt,
      encoded.archiveByteLength,
      formatShare(encoded.ratio),
      encoded.relativeError,
    ],
  ];
  const bits = [];
  for (const [, modelFolder] of rows) bits.push(await evaluate(modelFolder, signal));
  const evaluated = bits.every((results) => results !== undefined);

  const numbers = [
    'bytes',
    'share',
    'relative error',
    ...(evaluated ? TEXTS.map((text) => `bits per byte on ${text}`) : []),
  ];
  const columns = [{ title: 'model' }, ...numbers.map((title) => ({ title, align: 'right' as const }))];
  const cells = rows.map(([model, , byteLength, share, relativeError], index) => [
    model,
    formatByteLength(byteLength),
    share,
    formatRelativeError(relativeError),
    ...(evaluated ? bits[index]!.map((value) => value.toFixed(3)) : []),
  ]);
  console.log(renderTable(columns, cells));
  if (!evaluated)
    console.log('Evaluation is left out: the optional package onnxruntime-node is not installed.');
  for (const warning of encoded.warnings) console.log(`warning: ${warning}`);
  console.log(
    `Encoded in ${formatDuration(encoded.durationMs)}, decoded in ${formatDuration(decoded.durationMs)}; ` +
      `the digests of all ${formatCount(verified.decodedTensorCount, 'rebuilt tensor')} match the archive.`,
  );
  console.log(
    'Try next: node dist/cli/bin.js encode test/fixtures/tinylm/python --base test/fixtures/tinylm/base -o python.ere --ratio 12%',
  );
}

const signal = interruptSignal(process);
const folder = await mkdtemp(join(tmpdir(), 'ere-demo-'));
try {
  await runDemo(folder, signal);
} catch (error) {
  if (!signal.aborted) throw error;
  process.exitCode = 130;
} finally {
  await rm(folder, { recursive: true, force: true });
}

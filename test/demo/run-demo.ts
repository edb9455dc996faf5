/**
 * The main job on a real full fine-tune: encodes test/fixtures/tinylm/python against its base at 6 % of its
 * bytes, rebuilds and verifies it, runs base, fine-tuned and rebuilt model on held-out text, and tells in one table.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
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
const SEQUENCE_BYTE_LENGTH = 256;
const TEXTS = ['python', 'docs'] as const;

export interface DemoOptions {
  /** Sequences of each text to evaluate on; default: all 48. */
  readonly sequenceCount?: number;
  readonly signal?: AbortSignal;
}

interface DemoModel {
  readonly name: string;
  readonly folder: string;
  /** Bytes to store: weights, or the archive. */
  readonly byteLength: number;
  /** Of the fine-tuned weights; none for the base, which is there anyway. */
  readonly share?: number;
  /** Of the residual; the base is what is left when all of it is lost. */
  readonly relativeError: number;
}

/** Bits per byte of a model on each text, or undefined where onnxruntime-node is missing. */
async function evaluate(
  modelFolder: string,
  { sequenceCount = 48, ...options }: DemoOptions,
): Promise<number[] | undefined> {
  const results: number[] = [];
  for (const text of TEXTS) {
    try {
      const bytes = await readFile(tinylm('eval', `${text}.bin`));
      const sequences = bytes.subarray(0, sequenceCount * SEQUENCE_BYTE_LENGTH);
      results.push((await bitsPerByte(modelFolder, sequences, options)).bitsPerByte);
    } catch (error) {
      if (error instanceof UnsupportedError && error.feature === 'onnxruntime-node') return undefined;
      throw error;
    }
  }
  return results;
}

/** Runs the demo in an empty folder, which it fills, and returns what it has to say: the table first. */
export async function runDemo(folder: string, options: DemoOptions = {}): Promise<string> {
  const common = options.signal === undefined ? {} : { signal: options.signal };
  const archive = join(folder, 'python.ere');
  const rebuilt = join(folder, 'rebuilt');
  const encoded = await encode(FINE_TUNED, {
    base: BASE,
    output: archive,
    budget: { kind: 'ratio', ratio: 0.06 },
    ...common,
  });
  const decoded = await decode(archive, { base: BASE, output: rebuilt, ...common });
  const verified = await verify(archive, { base: BASE, against: rebuilt, ...common });
  const different = verified.comparison?.differentCount;
  if (different !== 0) {
    throw new Error(
      `expected the rebuilt model to equal the decoded one, got ${different} different tensors`,
    );
  }
  const baseByteLength = (await stat(join(BASE, 'model.safetensors'))).size;
  const models: DemoModel[] = [
    { name: 'base', folder: BASE, byteLength: baseByteLength, relativeError: 1 },
    {
      name: 'fine-tuned',
      folder: FINE_TUNED,
      byteLength: encoded.fineTunedByteLength,
      share: 1,
      relativeError: 0,
    },
    {
      name: 'rebuilt from base + .ere',
      folder: rebuilt,
      byteLength: encoded.archiveByteLength,
      share: encoded.ratio,
      relativeError: encoded.relativeError,
    },
  ];
  const lines = [
    await tableOf(models, options),
    ...encoded.warnings.map((warning) => `warning: ${warning}`),
    `Encoded in ${formatDuration(encoded.durationMs)}, decoded in ${formatDuration(decoded.durationMs)}; ` +
      `the digests of all ${formatCount(verified.decodedTensorCount, 'rebuilt tensor')} match the archive.`,
    'Try next: node dist/cli/bin.js encode test/fixtures/tinylm/base test/fixtures/tinylm/python -o python.ere --ratio 12%',
  ];
  return lines.map((line) => `${line}\n`).join('');
}

/** A line a model; without onnxruntime-node a table without evaluation, and a line that says so. */
async function tableOf(models: readonly DemoModel[], options: DemoOptions): Promise<string> {
  const bits: number[][] = [];
  for (const { folder } of models) {
    const results = await evaluate(folder, options);
    if (results !== undefined) bits.push(results);
  }
  const evaluated = bits.length === models.length;
  const texts = evaluated ? TEXTS.map((text) => `bits per byte on ${text}`) : [];
  const numbers = ['bytes', 'share', 'relative error', ...texts];
  const columns = [{ title: 'model' }, ...numbers.map((title) => ({ title, align: 'right' as const }))];
  const rows = models.map(({ name, byteLength, share, relativeError }, index) => [
    name,
    formatByteLength(byteLength),
    share === undefined ? '–' : formatShare(share),
    formatRelativeError(relativeError),
    ...(evaluated ? bits[index]!.map((value) => value.toFixed(3)) : []),
  ]);
  const note = evaluated
    ? ''
    : 'Evaluation is left out: the optional package onnxruntime-node is not installed.\n';
  return renderTable(columns, rows) + note;
}

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bitsOfBatch, bitsPerByte } from '../../src/evaluate/bits-per-byte.js';
import { loadOnnxRuntime } from '../../src/evaluate/onnx-runtime.js';
import { tinylm } from '../helpers/tinylm.js';

describe('bitsOfBatch', () => {
  test('equal logits cost 8 bits for every byte but the first of a sequence', () => {
    expect(bitsOfBatch(new Float32Array(6 * 256), Uint8Array.from([1, 2, 3, 4, 5, 6]), 3)).toBeCloseTo(
      4 * 8,
      12,
    );
  });

  test('the logits of a position predict the byte after it', () => {
    const logits = new Float32Array(2 * 256);
    logits[7] = 50; // position 0 is sure of byte 7
    expect(bitsOfBatch(logits, Uint8Array.from([0, 7]), 2)).toBeCloseTo(0, 12);
    expect(bitsOfBatch(logits, Uint8Array.from([0, 8]), 2)).toBeCloseTo(50 / Math.LN2, 6);
  });

  test('large logits overflow nothing', () => {
    const logits = new Float32Array(2 * 256).fill(3e38);
    expect(bitsOfBatch(logits, Uint8Array.from([0, 1]), 2)).toBeCloseTo(8, 12);
  });
});

describe('bitsPerByte', () => {
  // Measured by the trainer of the fixture with the same graph and texts.
  test.each([
    ['base', 'docs', 1.385],
    ['base', 'python', 3.097],
    ['python', 'docs', 2.069],
    ['python', 'python', 2.112],
  ])('the %s model needs on %s text the published number of bits', async (model, text, expected) => {
    const report = await bitsPerByte(tinylm(model), await readFile(tinylm('eval', `${text}.bin`)));
    expect(report.bitsPerByte).toBeCloseTo(expected, 3);
    expect(report).toMatchObject({ sequenceCount: 48, byteCount: 48 * 255 });
  });

  test('the batch size changes memory, not the result', async () => {
    const text = (await readFile(tinylm('eval', 'docs.bin'))).subarray(0, 5 * 256);
    const [one, many] = await Promise.all(
      [1, 4].map((batchSize) => bitsPerByte(tinylm('base'), text, { batchSize })),
    );
    expect(one!.bitsPerByte).toBeCloseTo(many!.bitsPerByte, 4);
  });

  test('a text that is not whole sequences is refused before anything is loaded', async () => {
    await expect(bitsPerByte('nowhere', new Uint8Array(255))).rejects.toThrow(
      'expected a multiple of 256 bytes, got 255',
    );
    await expect(bitsPerByte('nowhere', new Uint8Array(0))).rejects.toThrow(RangeError);
    await expect(bitsPerByte('nowhere', new Uint8Array(256), { batchSize: 0 })).rejects.toThrow('batchSize');
  });

  test('a folder without model.onnx is not found, a broken one is a format error', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ere-evaluate-'));
    try {
      await expect(bitsPerByte(folder, new Uint8Array(256))).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
      await writeFile(join(folder, 'model.onnx'), 'not protobuf');
      await expect(bitsPerByte(folder, new Uint8Array(256))).rejects.toMatchObject({
        code: 'ERE_FORMAT',
        format: 'onnx',
        file: join(folder, 'model.onnx'),
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('an aborted signal stops the evaluation', async () => {
    const options = { signal: AbortSignal.abort('enough') };
    await expect(bitsPerByte(tinylm('base'), new Uint8Array(256), options)).rejects.toMatchObject({
      code: 'ERE_ABORTED',
    });
  });

  test('without onnxruntime-node one error says what to install', async () => {
    const missing = new Error("Cannot find package 'onnxruntime-node'");
    const loading = loadOnnxRuntime(() => Promise.reject(missing));
    await expect(loading).rejects.toMatchObject({
      code: 'ERE_UNSUPPORTED',
      feature: 'onnxruntime-node',
      message: expect.stringContaining('npm install onnxruntime-node'),
      cause: missing,
    });
  });
});

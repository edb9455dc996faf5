/**
 * Rebuilds a fine-tuned model from its base and an archive, and runs both with onnxruntime-web. `?threads=N` chooses
 * the number of workers. What it found is `globalThis.demo`, a promise, for the test that drives the page.
 */

import { decodeFile, openArchive } from '/ere/ere.js';
import * as ort from '/ort/ort.wasm.min.mjs';

const BASE = '/base/model.safetensors';
const SEQUENCE_BYTE_LENGTH = 256;
const VOCABULARY = 256;
const PROMPT = 'def read_lines(path):\n    ';
const TEXT_BYTE_LENGTH = 200;

const element = (id) => document.getElementById(id);
const show = (id, text) => {
  element(id).textContent = text;
};
const bytesOf = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());
const kilobytes = (byteLength) => `${Math.round(byteLength / 1000).toLocaleString('en')} kB`;

async function rebuild(threads) {
  const started = performance.now();
  const archive = await openArchive('/archive.ere');
  const { base, files } = archive.index;
  show('base', base.name);
  show('archive', `${kilobytes(archive.byteLength)} for ${kilobytes(files[0].byteLength)} of weights`);
  const weights = new Uint8Array(files[0].byteLength);
  const progress = element('progress');
  const stream = decodeFile({
    archive,
    base: BASE,
    ...(threads === undefined ? {} : { threads }),
    onProgress({ doneByteLength, totalByteLength, tensor }) {
      progress.max = totalByteLength;
      progress.value = doneByteLength;
      show('status', `Decoded ${tensor}`);
    },
  });
  let end = 0;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    weights.set(value, end);
    end += value.byteLength;
  }
  const durationMs = performance.now() - started;
  show(
    'rebuilt',
    `${kilobytes(end)} in ${Math.round(durationMs)} ms, every tensor checked against its digest`,
  );
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', weights));
  const digest = [...hash].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  show('digest', digest);
  return { weights, digest, durationMs };
}

/** The graph with the weights that its initializers name. */
function openModel(graph, weights) {
  return ort.InferenceSession.create(graph, {
    executionProviders: ['wasm'],
    externalData: [{ path: 'model.safetensors', data: weights }],
    logSeverityLevel: 3,
  });
}

async function logitsOf(session, bytes, rows) {
  const ids = new ort.Tensor('int64', BigInt64Array.from(bytes, BigInt), [rows, bytes.length / rows]);
  return (await session.run({ input_ids: ids })).logits.data;
}

/** Mean −log2 of the next byte's probability. */
async function bitsPerByte(session, text) {
  const rows = text.length / SEQUENCE_BYTE_LENGTH;
  const logits = await logitsOf(session, text, rows);
  let nats = 0;
  for (let i = 0; i < text.length; i++) {
    if (i % SEQUENCE_BYTE_LENGTH === SEQUENCE_BYTE_LENGTH - 1) continue; // Nothing follows the last byte.
    const row = logits.subarray(i * VOCABULARY, (i + 1) * VOCABULARY);
    const largest = row.reduce((x, y) => Math.max(x, y));
    nats +=
      largest + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - largest), 0)) - row[text[i + 1]];
  }
  return nats / Math.LN2 / (text.length - rows);
}

/** Bytes by chance, the same every time, as sure as a temperature of 0.6 makes the model. */
async function goOn(session, prompt) {
  let bytes = [...new TextEncoder().encode(prompt)];
  let state = 1;
  while (bytes.length < TEXT_BYTE_LENGTH) {
    const row = (await logitsOf(session, bytes, 1)).slice(-VOCABULARY);
    const largest = Math.max(...row);
    const weights = [...row].map((logit) => Math.exp((logit - largest) / 0.6));
    state = (state * 48271) % 0x7fffffff;
    let rest = (state / 0x7fffffff) * weights.reduce((x, y) => x + y);
    const next = weights.findIndex((weight) => {
      rest -= weight;
      return rest <= 0;
    });
    bytes = [...bytes, next];
    show('text', new TextDecoder().decode(Uint8Array.from(bytes)));
  }
}

async function run() {
  ort.env.wasm.numThreads = 1; // More need cross-origin isolation.
  const threads = new URLSearchParams(location.search).get('threads');
  const { weights, digest, durationMs } = await rebuild(threads === null ? undefined : Number(threads));
  const [graph, base, text] = await Promise.all(['/base/model.onnx', BASE, '/text.bin'].map(bytesOf));
  const bits = {};
  for (const [id, bytes] of [
    ['base-bits', base],
    ['fine-tuned-bits', weights],
  ]) {
    show('status', 'Running the models…');
    const session = await openModel(graph, bytes);
    bits[id] = await bitsPerByte(session, text);
    show(id, `${bits[id].toFixed(3)} bits per byte`);
    if (id === 'fine-tuned-bits') await goOn(session, PROMPT);
    await session.release();
  }
  show('status', 'Done.');
  return { digest, durationMs, baseBits: bits['base-bits'], fineTunedBits: bits['fine-tuned-bits'] };
}

globalThis.demo = run();
globalThis.demo.catch((error) => {
  show('status', 'Failed.');
  show('error', `${error.name}: ${error.message}`);
});

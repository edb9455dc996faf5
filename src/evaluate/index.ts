/**
 * `ere/evaluate`: running models, to see what a compressed residual does to their quality.
 * Needs the optional package onnxruntime-node, which is loaded on first use.
 */
export type { BitsPerByteOptions, BitsPerByteReport } from './bits-per-byte.js';
export { bitsPerByte } from './bits-per-byte.js';

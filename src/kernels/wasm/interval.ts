/**
 * Codec "interval" on WebAssembly: whole rows go through the scratch region in batches, while registers,
 * contexts and payload stay in the coder region until another coder needs it.
 */
import type { FloatDtype } from '../../../formats/dtype.js';
import {
  checkedRows,
  checkIntervalModel,
  type ElementLayout,
  elementLayout,
  type IntervalDecoder,
  type IntervalEncoder,
  type IntervalModel,
  type IntervalPrediction,
  MAX_CODED_COLUMNS,
  MAX_PAYLOAD_BYTES,
} from '../interval-model.js';
import { type Arena, bytesOf, CODER_BYTES } from './arena.js';
import { FORMAT_NUMBERS } from './kernel-exports.js';

/** Elements of a batch; at least one coded row. */
const BATCH = MAX_CODED_COLUMNS;

/** Offsets in the coder region: registers, then the state of the model, then the payload. */
const JOB_OFFSET = 64;
const PAYLOAD_OFFSET = CODER_BYTES - MAX_PAYLOAD_BYTES - 64;

/** What both directions do with the coder region. */
class IntervalState {
  readonly arena: Arena;
  readonly model: IntervalModel;
  readonly layout: ElementLayout;
  /** The region up to the payload, while another coder has it. */
  #saved: Uint8Array | undefined;

  constructor(arena: Arena, model: IntervalModel) {
    checkIntervalModel(model);
    this.arena = arena;
    this.model = model;
    this.layout = elementLayout(model.dtype, model.drop);
  }

  get coder(): number {
    return this.arena.coderStart;
  }

  get job(): number {
    return this.arena.coderStart + JOB_OFFSET;
  }

  get payload(): number {
    return this.arena.coderStart + PAYLOAD_OFFSET;
  }

  /** Bytes of the region in use before the payload. */
  get stateByteLength(): number {
    return JOB_OFFSET + this.arena.kernels.intervalStateBytes(this.model.columns);
  }

  /** Brings the state back, or makes a fresh one. */
  restore(): void {
    const { arena, model, layout, job } = this;
    if (this.#saved !== undefined) {
      arena.bytes.set(this.#saved, this.coder);
      this.#saved = undefined;
      return;
    }
    const view = new DataView(arena.bytes.buffer);
    const fields = [
      layout.isFloat ? 0 : 1,
      layout.byteLength,
      model.drop,
      layout.exponentBits,
      layout.mantissaBits,
      layout.bias,
      model.unit,
      model.skip,
      model.means ? 1 : 0,
    ];
    fields.forEach((field, i) => {
      view.setInt32(job + 4 * i, field, true);
    });
    arena.kernels.resetInterval(job, model.columns);
  }

  evict(): void {
    this.#saved = this.arena.bytes.slice(this.coder, this.coder + this.stateByteLength);
  }

  /** Runs `kernel` over batches of rows; `values` are copied in or out. */
  run(
    decoding: boolean,
    values: Uint8Array,
    prediction: IntervalPrediction | undefined,
    columns: number,
  ): void {
    const { arena, layout } = this;
    const rows = checkedRows(this.model, columns, values.byteLength, prediction);
    const batchRows = Math.max(1, Math.floor(BATCH / columns));
    const kernel = decoding ? arena.kernels.decodeInterval : arena.kernels.encodeInterval;
    const width = layout.byteLength;
    const addresses = arena.layOut(BATCH * width, BATCH * width, BATCH * 4, BATCH * 4);
    const [source, predicted, wide] = addresses;
    for (let row = 0; row < rows; row += batchRows) {
      const rowCount = Math.min(batchRows, rows - row);
      const start = row * columns;
      const end = start + rowCount * columns;
      const narrowed = this.#layPrediction(addresses, prediction, start, end);
      if (!decoding) arena.bytes.set(values.subarray(start * width, end * width), source);
      kernel(this.job, this.coder, rowCount, columns, source, predicted, wide, narrowed);
      if (decoding) {
        values.set(arena.bytes.subarray(source, source + (end - start) * width), start * width);
      }
    }
  }

  /** Brings elements [start, end) of the prediction in, in all forms; returns the address of `narrowed`. */
  #layPrediction(
    addresses: readonly number[],
    prediction: IntervalPrediction | undefined,
    start: number,
    end: number,
  ): number {
    const { arena, layout, model } = this;
    const [, predicted, wide, narrowed] = addresses;
    const count = end - start;
    const width = layout.byteLength;
    const dtype = (model.dtype === 'C64' ? 'F32' : model.dtype) as FloatDtype;
    if (prediction === undefined) arena.bytes.fill(0, predicted, predicted + count * width);
    else arena.bytes.set(prediction.elements.subarray(start * width, end * width), predicted);
    if (!layout.isFloat || width === 8) return wide;
    const values = prediction?.values;
    if (values === undefined) arena.kernels.toFloat32(FORMAT_NUMBERS[dtype], predicted, wide, count);
    else arena.bytes.set(bytesOf(values.subarray(start, end)), wide);
    if (model.drop > 0) {
      arena.kernels.dropBits(predicted, count, model.drop);
      return predicted;
    }
    if (values === undefined) return wide;
    arena.kernels.toFloat32(FORMAT_NUMBERS[dtype], predicted, narrowed, count);
    return narrowed;
  }
}

class WasmIntervalEncoder implements IntervalEncoder {
  readonly #state: IntervalState;
  /** The payload so far from both ends, while another coder has the region. */
  #saved: { readonly front: Uint8Array; readonly back: Uint8Array } | undefined;
  #isOpen = false;

  constructor(state: IntervalState) {
    this.#state = state;
  }

  evict(): void {
    const { arena, coder, payload } = this.#state;
    this.#state.evict();
    if (!this.#isOpen) return;
    const { out, raw } = this.#ends(coder);
    this.#saved = {
      front: arena.bytes.slice(payload, Math.min(out, raw)),
      back: arena.bytes.slice(raw, payload + MAX_PAYLOAD_BYTES),
    };
  }

  encode(
    values: Uint8Array,
    prediction: IntervalPrediction | undefined,
    columns: number = this.#state.model.columns,
  ): void {
    this.#claim();
    this.#state.run(false, values, prediction, columns);
  }

  finish(): Uint8Array | undefined {
    this.#claim();
    const { arena, coder, payload } = this.#state;
    const length = arena.kernels.finishEncoding(coder);
    const { raw } = this.#ends(coder);
    this.#isOpen = false;
    if (length < 0) return undefined;
    const end = payload + MAX_PAYLOAD_BYTES;
    const bytes = new Uint8Array(length + end - raw);
    bytes.set(arena.bytes.subarray(payload, payload + length));
    bytes.set(arena.bytes.subarray(raw, end), length);
    return bytes;
  }

  #claim(): void {
    const { arena, coder, payload } = this.#state;
    if (!arena.claimCoder(this)) {
      this.#state.restore();
      if (this.#saved !== undefined) {
        arena.bytes.set(this.#saved.front, payload);
        arena.bytes.set(this.#saved.back, payload + MAX_PAYLOAD_BYTES - this.#saved.back.byteLength);
        this.#saved = undefined;
      }
    }
    if (!this.#isOpen) arena.kernels.beginEncoding(coder, payload, payload + MAX_PAYLOAD_BYTES);
    this.#isOpen = true;
  }

  /** Addresses behind the arithmetic code and of the first raw bits. */
  #ends(coder: number): { out: number; raw: number } {
    const registers = new DataView(this.#state.arena.bytes.buffer, coder, 64);
    return { out: registers.getUint32(16, true), raw: registers.getUint32(36, true) };
  }
}

class WasmIntervalDecoder implements IntervalDecoder {
  readonly #state: IntervalState;
  #payload: Uint8Array = new Uint8Array(0);

  constructor(state: IntervalState) {
    this.#state = state;
  }

  evict(): void {
    this.#state.evict();
  }

  begin(payload: Uint8Array): void {
    if (payload.byteLength > MAX_PAYLOAD_BYTES) {
      throw new RangeError(`payload: expected at most ${MAX_PAYLOAD_BYTES} bytes, got ${payload.byteLength}`);
    }
    const { arena, coder } = this.#state;
    if (!arena.claimCoder(this)) this.#state.restore();
    this.#payload = payload;
    this.#layPayload();
    const start = this.#state.payload;
    arena.kernels.beginDecoding(coder, start, start + payload.byteLength);
  }

  decode(
    prediction: IntervalPrediction | undefined,
    out: Uint8Array,
    columns: number = this.#state.model.columns,
  ): void {
    if (!this.#state.arena.claimCoder(this)) {
      this.#state.restore();
      this.#layPayload();
    }
    this.#state.run(true, out, prediction, columns);
  }

  /** The payload between zeros, which are what is read beyond its ends. */
  #layPayload(): void {
    const { arena, payload } = this.#state;
    const end = payload + this.#payload.byteLength;
    arena.bytes.fill(0, payload - 16, payload);
    arena.bytes.set(this.#payload, payload);
    arena.bytes.fill(0, end, end + 16);
  }
}

export function intervalEncoder(arena: Arena, model: IntervalModel): IntervalEncoder {
  return new WasmIntervalEncoder(new IntervalState(arena, model));
}

export function intervalDecoder(arena: Arena, model: IntervalModel): IntervalDecoder {
  return new WasmIntervalDecoder(new IntervalState(arena, model));
}

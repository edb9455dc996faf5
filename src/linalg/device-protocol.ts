/** What the threads of the encoder and the thread of a device say to one another. */
import type { MessagePort } from 'node:worker_threads';
import type { Device } from './devices.js';

/** Data of the device's thread. */
export interface DeviceThreadInit {
  readonly device: Device;
  /** URL of the runtime's module; default: the package onnxruntime-node. */
  readonly runtime?: string;
}

/** First message of the device's thread: it is open, or it cannot be. */
export type DeviceThreadStart = { readonly name: string } | { readonly failure: string };

/** From the thread that opened the device: a port to serve, or the end. */
export type DeviceThreadOrder = { readonly port: MessagePort } | 'close';

interface Operand {
  readonly rows: number;
  readonly columns: number;
  /** Transferred: the sender gives it up. */
  readonly data: Float32Array<ArrayBuffer>;
}

/** One product op(a) · op(b) that is asked for over a port. */
export interface ProductRequest {
  readonly id: number;
  readonly a: Operand;
  readonly b: Operand;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/** Its answer; the product is transferred. */
export type ProductReply =
  | { readonly id: number; readonly product: Float32Array<ArrayBuffer> }
  | { readonly id: number; readonly failure: string };

/**
 * A device for matrix products, held by a thread of its own and shared by all threads of the encoder. What is not
 * there is no error: products then run on the CPU, and the user is told why.
 */
import { once } from 'node:events';
import { MessageChannel, type MessagePort, SHARE_ENV, Worker } from 'node:worker_threads';
import type { DeviceThreadInit, DeviceThreadOrder, DeviceThreadStart } from './device-protocol.js';
import type { Device } from './devices.js';

export interface OpenedDevice {
  /** Name of the engine on it: 'onnxruntime-node 1.30.0, webgpu'; undefined where products run on the CPU. */
  readonly name: string | undefined;
  /** One line for the user when the device that was asked for is not available. */
  readonly warning: string | undefined;
  /** A port to the device, for another thread; undefined where products run on the CPU. */
  connect(): MessagePort | undefined;
  /** Ends the thread; products that are not answered by then never are. */
  close(): Promise<void>;
}

/** Opens the device, or says why it cannot. */
export async function openDevice(device: Device): Promise<OpenedDevice> {
  if (device === 'cpu') return onCpu(undefined);
  const opened = await openDeviceThread({ device });
  if ('failure' in opened) {
    return onCpu(`device "${device}" is not available: ${opened.failure}; matrix products run on the CPU`);
  }
  return { ...opened, warning: undefined };
}

function onCpu(warning: string | undefined): OpenedDevice {
  return { name: undefined, warning, connect: () => undefined, close: async () => {} };
}

/** The device's thread itself, for 'cpu' too: a runtime that is called from elsewhere. */
export async function openDeviceThread(
  init: DeviceThreadInit,
): Promise<{ readonly failure: string } | Omit<OpenedDevice, 'warning'>> {
  const worker = new Worker(new URL('./device-thread-main.js', import.meta.url), {
    workerData: init,
    env: SHARE_ENV, // so that what the thread sets reaches the native libraries it loads
  });
  const exited: Promise<number> = once(worker, 'exit').then(
    ([code]) => code,
    () => 1, // after an error that nothing caught
  );
  const start = await Promise.race([
    once(worker, 'message').then(([message]) => message as DeviceThreadStart),
    exited.then((code): DeviceThreadStart => ({ failure: `its thread stopped with exit code ${code}` })),
  ]).catch((error: Error): DeviceThreadStart => ({ failure: error.message }));
  if ('failure' in start) {
    await exited;
    return start;
  }
  const order = (message: DeviceThreadOrder, transfer: MessagePort[] = []): void =>
    worker.postMessage(message, transfer);
  return {
    name: start.name,
    connect() {
      const { port1, port2 } = new MessageChannel();
      order({ port: port1 }, [port1]);
      return port2;
    },
    async close() {
      order('close');
      await exited;
    },
  };
}

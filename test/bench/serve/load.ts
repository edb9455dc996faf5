/** Clients that download, and how long that takes. */
import { Agent, get, type IncomingMessage } from 'node:http';

export interface Fetched {
  readonly status: number;
  readonly byteLength: number;
  /** From the request to the first byte of the body, and to the last. */
  readonly firstByteMs: number;
  readonly totalMs: number;
}

/** Downloads bytes [start, end), or all, and counts them. @param onBytes called with every piece */
export function fetchRange(
  url: string,
  range?: readonly [start: number, end: number],
  agent?: Agent,
  onBytes?: (bytes: Buffer) => void,
): Promise<Fetched> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const headers = range === undefined ? {} : { range: `bytes=${range[0]}-${range[1] - 1}` };
    const onResponse = (response: IncomingMessage): void => {
      let byteLength = 0;
      let firstByteMs = 0;
      response.on('data', (bytes: Buffer) => {
        if (byteLength === 0) firstByteMs = performance.now() - started;
        byteLength += bytes.byteLength;
        onBytes?.(bytes);
      });
      response.once('error', reject);
      response.once('end', () =>
        resolve({
          status: response.statusCode!,
          byteLength,
          firstByteMs,
          totalMs: performance.now() - started,
        }),
      );
    };
    get(url, { headers, ...(agent && { agent }) }, onResponse).once('error', reject);
  });
}

export interface Load {
  readonly clientCount: number;
  readonly requestsPerClient: number;
  readonly rangeByteLength: number;
  readonly fileByteLength: number;
}

export interface LoadFigures {
  readonly bytesPerSecond: number;
  /** Answers that were no 206 of the right length, or none. */
  readonly errorCount: number;
  /** To the first byte, of the slowest of a hundred. */
  readonly firstByteP99Ms: number;
}

/** So many clients at once, each with a connection of its own, each one range after another. */
export async function runLoad(url: string, load: Load): Promise<LoadFigures> {
  const { clientCount, requestsPerClient, rangeByteLength, fileByteLength } = load;
  const firstBytes: number[] = [];
  let byteLength = 0;
  let errorCount = 0;
  const started = performance.now();
  const client = async (number: number): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < requestsPerClient; i++) {
      // Everywhere in the file, the same for every server.
      const share = ((number * requestsPerClient + i) * 0.618_033_988_75) % 1;
      const start = Math.floor(share * (fileByteLength - rangeByteLength));
      try {
        const found = await fetchRange(url, [start, start + rangeByteLength], agent);
        byteLength += found.byteLength;
        firstBytes.push(found.firstByteMs);
        if (found.status !== 206 || found.byteLength !== rangeByteLength) errorCount++;
      } catch {
        errorCount++;
      }
    }
    agent.destroy();
  };
  await Promise.all(Array.from({ length: clientCount }, (_, number) => client(number)));
  const seconds = (performance.now() - started) / 1000;
  firstBytes.sort((x, y) => x - y);
  return {
    bytesPerSecond: byteLength / seconds,
    errorCount,
    firstByteP99Ms: firstBytes[Math.floor(0.99 * firstBytes.length)] ?? Number.NaN,
  };
}

/**
 * Requests that a connection sends before the one in front of them is answered (RFC 9112 §9.3.2). Node hands them out at
 * once and keeps their answers in memory, so that one connection could ask for hundreds of files at a time; and it never
 * tells of the end of the connection to those whose answer had not begun. Here each waits for its turn.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Requests that may wait on a connection: no client of the Hub sends any. */
const MAX_WAITING = 4;

const waiting = new WeakMap<Socket, number>();

/** Settles when a response may be begun. False: the connection has ended, or sent more than may wait and was ended. */
export async function turnOf({ socket }: IncomingMessage, response: ServerResponse): Promise<boolean> {
  if (response.socket !== null) return true;
  const count = (waiting.get(socket) ?? 0) + 1;
  if (count > MAX_WAITING) socket.destroy();
  if (socket.destroyed) return false;
  waiting.set(socket, count);
  try {
    return await new Promise((resolve) => {
      const onClose = (): void => resolve(false);
      response.once('socket', () => {
        socket.off('close', onClose);
        resolve(true);
      });
      socket.once('close', onClose);
    });
  } finally {
    waiting.set(socket, waiting.get(socket)! - 1);
  }
}

/** Digests as the archive writes them: `sha256:` and 64 lower-case hexadecimal digits. */
import type { Digest } from './archive-index.js';

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Hashes bytes with SHA-256 to its 32 bytes; Node's `createHash` or the Web Crypto API behind it. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>;

export function isDigest(value: unknown): value is Digest {
  return typeof value === 'string' && DIGEST.test(value);
}

/**
 * A SHA-256 hash in its written form.
 * @param hash 32 bytes.
 * @throws RangeError on any other length.
 */
export function formatDigest(hash: Uint8Array): Digest {
  if (hash.byteLength !== 32) throw new RangeError(`expected a SHA-256 of 32 bytes, got ${hash.byteLength}`);
  let hex = '';
  for (const byte of hash) hex += byte.toString(16).padStart(2, '0');
  return `sha256:${hex}`;
}

/** SHA-256 by the Web Crypto API: Node and pages in a secure context. */
export async function webSha256(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
}

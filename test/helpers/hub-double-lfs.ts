/** LFS of the Hub's double: the batch API, uploads whole or in parts, and downloads, from an origin that takes no token. */
import type { Answer, Asked, HubState } from './hub-double.js';
import { ranged } from './hub-double-api.js';
import { sha256 } from './hub-repos.js';

/** What to do for every object: nothing where it is there already. */
export function handleBatch(state: HubState, asked: Asked): Answer {
  const { operation, hash_algo, objects, transfers } = JSON.parse(new TextDecoder().decode(asked.body));
  if (operation !== 'upload' || hash_algo !== 'sha_256') asked.violate('an upload by SHA-256');
  const isMultipart = transfers.includes('multipart');
  const answers = objects.map(({ oid, size }: { oid: string; size: number }) => {
    if (!/^[0-9a-f]{64}$/.test(oid) || !Number.isSafeInteger(size)) {
      asked.violate(`object ${oid} of ${size} bytes`);
      return { oid, size, error: { code: 422, message: 'invalid object' } };
    }
    if (state.objects.has(oid)) return { oid, size };
    const href = `${state.storageUrl}/${oid}?signature=good&size=${size}`;
    if (!isMultipart || size <= state.partByteLength) return { oid, size, actions: { upload: { href } } };
    const count = Math.ceil(size / state.partByteLength);
    const header: Record<string, string> = { chunk_size: String(state.partByteLength) };
    for (let part = 1; part <= count; part++)
      header[String(part).padStart(5, '0')] = `${state.storageUrl}/${oid}?signature=good&part=${part}`;
    return {
      oid,
      size,
      actions: { upload: { href: `${state.storageUrl}/${oid}?complete=${size}`, header } },
    };
  });
  return {
    status: 200,
    headers: { 'content-type': 'application/vnd.git-lfs+json' },
    body: JSON.stringify({ transfer: 'basic', objects: answers }),
  };
}

export function handleStorage(state: HubState, asked: Asked): Answer {
  const { method, url, headers, body } = asked;
  if (headers.authorization !== undefined) {
    asked.violate('a token was sent to storage');
    return { status: 400, body: 'Only one auth mechanism allowed' };
  }
  const oid = url.pathname.slice(1);
  if (method === 'GET') {
    const bytes = state.objects.get(oid);
    if (bytes === undefined) return { status: 404 };
    return state.ranges ? ranged(asked, bytes, { etag: '"of-storage"' }) : { status: 200, body: bytes };
  }
  if (method === 'PUT' && headers['content-length'] === undefined)
    return { status: 411, body: 'You must provide the Content-Length HTTP header' };
  const part = url.searchParams.get('part');
  if (method === 'PUT' && part !== null) {
    const etag = `"${sha256(body).slice(0, 32)}"`;
    const parts = state.parts.get(oid) ?? new Map();
    state.parts.set(oid, parts.set(Number(part), { etag, bytes: body }));
    return { status: 200, headers: { etag } };
  }
  if (method === 'PUT') return store(state, oid, body, Number(url.searchParams.get('size')));
  if (method === 'POST' && url.searchParams.has('complete')) return complete(state, asked, oid);
  return { status: 405 };
}

function complete(state: HubState, { body, url }: Asked, oid: string): Answer {
  const { parts } = JSON.parse(new TextDecoder().decode(body));
  const stored = state.parts.get(oid) ?? new Map();
  for (const { partNumber, etag } of parts) {
    if (stored.get(partNumber)?.etag !== etag) return { status: 400, body: `part ${partNumber} is another` };
  }
  const bytes = Buffer.concat(
    parts.map(({ partNumber }: { partNumber: number }) => stored.get(partNumber).bytes),
  );
  return store(state, oid, new Uint8Array(bytes), Number(url.searchParams.get('complete')));
}

function store(state: HubState, oid: string, bytes: Uint8Array, size: number): Answer {
  if (bytes.byteLength !== size)
    return { status: 400, body: `expected ${size} bytes, got ${bytes.byteLength}` };
  if (sha256(bytes) !== oid) return { status: 400, body: 'the bytes have another SHA-256' };
  state.objects.set(oid, bytes);
  return { status: 200 };
}

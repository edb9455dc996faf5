/**
 * Records of a store (docs/spec/store.md §4): JSON, deflated, with its SHA-256 in front, so that damage shows without
 * anything else being read.
 */
import { createHash } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import { inflateRaw } from '../../formats/deflate.js';
import type { Digest } from '../../formats/ere/archive-index.js';
import { JsonCursor } from '../../formats/ere/json-cursor.js';
import { FormatError, IntegrityError, LimitError } from '../../formats/errors.js';
import { LIMITS } from '../../formats/limits.js';
import { inflateAtOnce } from '../io/inflate-at-once.js';

/** "ERS", version 1. */
const MAGIC = [0x45, 0x52, 0x53, 0x31];
/** Magic, u32 byte length of the JSON, SHA-256 of the JSON. */
const HEADER_BYTE_LENGTH = 40;

export interface SealedRecord {
  readonly bytes: Uint8Array;
  /** SHA-256 of the JSON. */
  readonly digest: Digest;
}

export function sealRecord(value: unknown): SealedRecord {
  const json = new TextEncoder().encode(JSON.stringify(value));
  const deflated = deflatedJson(json);
  const hash = createHash('sha256').update(json).digest();
  const bytes = new Uint8Array(HEADER_BYTE_LENGTH + deflated.byteLength);
  bytes.set(MAGIC, 0);
  new DataView(bytes.buffer).setUint32(4, json.byteLength, true);
  bytes.set(hash, 8);
  bytes.set(deflated, HEADER_BYTE_LENGTH);
  return { bytes, digest: `sha256:${hash.toString('hex')}` };
}

/** Deflated at most as far as a reader takes it: a message may be a million times the same letter. */
function deflatedJson(json: Uint8Array): Uint8Array {
  const deflated = deflateRawSync(json);
  const isTaken = json.byteLength <= deflated.byteLength * LIMITS.archiveIndexDeflateRatio;
  return isTaken ? deflated : deflateRawSync(json, { level: 0 });
}

/**
 * @param file where the record comes from, for messages
 * @throws FormatError, LimitError, IntegrityError
 */
export async function openRecord(
  bytes: Uint8Array,
  file: string,
): Promise<{ readonly value: JsonCursor; readonly digest: Digest }> {
  if (bytes.byteLength < HEADER_BYTE_LENGTH || MAGIC.some((byte, i) => bytes[i] !== byte)) {
    throw new FormatError('ere-store', 'expected a record of a store of version 1, found something else', {
      file,
    });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const byteLength = view.getUint32(4, true);
  const stored = bytes.subarray(HEADER_BYTE_LENGTH);
  const limit = Math.min(LIMITS.archiveIndexByteLength, stored.byteLength * LIMITS.archiveIndexDeflateRatio);
  if (byteLength > limit) {
    throw new LimitError(`${file}: a record of ${byteLength} bytes, over ${limit}`, limit, byteLength);
  }
  const subject = { format: 'ere-store', file, part: 'record' };
  const json = await inflateRaw(stored, byteLength, subject, inflateAtOnce);
  const found = createHash('sha256').update(json).digest('hex');
  const expected = Buffer.from(bytes.subarray(8, HEADER_BYTE_LENGTH)).toString('hex');
  if (found !== expected) throw new IntegrityError(file, `sha256:${expected}`, `sha256:${found}`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (cause) {
    throw new FormatError('ere-store', 'expected JSON in UTF-8', { file, cause });
  }
  return { value: new JsonCursor(value, file, 'record'), digest: `sha256:${found}` };
}

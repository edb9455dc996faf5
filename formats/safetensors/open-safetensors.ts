/** Lazy access to one safetensors file: opening reads the 8-byte length and the header, and nothing else. */
import type { ByteSource } from '../byte-source.js';
import {
  parseSafetensorsHeader,
  parseSafetensorsPrefix,
  SAFETENSORS_PREFIX_BYTE_LENGTH,
  type SafetensorsHeader,
} from './parse-header.js';

/** An open file: its bytes, and what its header says of them. */
export interface SafetensorsFile {
  readonly source: ByteSource;
  /** Length prefix, JSON and padding, verbatim. */
  readonly headerBytes: Uint8Array;
  readonly header: SafetensorsHeader;
}

/**
 * Reads and checks the header of a file.
 * @throws FormatError, UnsupportedError as parseSafetensorsHeader
 */
export async function openSafetensors(source: ByteSource): Promise<SafetensorsFile> {
  const options = { file: source.name, fileByteLength: source.byteLength };
  const prefix = await source.read(0, Math.min(SAFETENSORS_PREFIX_BYTE_LENGTH, source.byteLength));
  const jsonByteLength = parseSafetensorsPrefix(prefix, options);
  const json = await source.read(SAFETENSORS_PREFIX_BYTE_LENGTH, jsonByteLength);
  const headerBytes = new Uint8Array(SAFETENSORS_PREFIX_BYTE_LENGTH + jsonByteLength);
  headerBytes.set(prefix);
  headerBytes.set(json, SAFETENSORS_PREFIX_BYTE_LENGTH);
  return { source, headerBytes, header: parseSafetensorsHeader(headerBytes, options) };
}

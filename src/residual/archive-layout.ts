/** Where the tensors of an archive lie in the weight files it decodes to, from the verbatim headers. */

import type { ArchiveTensor } from '../../formats/ere/archive-index.js';
import type { Archive } from '../../formats/ere/open-archive.js';
import { FormatError } from '../../formats/errors.js';
import { parseSafetensorsHeader } from '../../formats/safetensors/parse-header.js';
import type { Placement } from './decode-archive.js';

export interface ArchiveLayout {
  /** Per weight file its header, verbatim. */
  readonly headers: readonly Uint8Array[];
  /** Every tensor at its place in its weight file; output i is weight file i. */
  readonly placements: readonly Placement[];
}

/**
 * Reads the headers and holds them against the index: every tensor of a header is in the index
 * with the same dtype and shape, and the other way round.
 * @throws FormatError
 */
export async function readArchiveLayout(archive: Archive): Promise<ArchiveLayout> {
  const { files, tensors } = archive.index;
  const headers: Uint8Array[] = [];
  const positions = new Map<string, { readonly offset: number; readonly description: string }>();
  for (const [i, file] of files.entries()) {
    const bytes = await archive.readBlob(file.header);
    const name = `${archive.source.name}, header of ${file.path}`;
    const header = parseSafetensorsHeader(bytes, { file: name, fileByteLength: file.byteLength });
    if (header.byteLength !== bytes.byteLength) {
      throw new FormatError(
        'ere',
        `expected a header of ${bytes.byteLength} bytes, found ${header.byteLength}`,
        { file: name },
      );
    }
    for (const tensor of header.tensors) {
      const offset = header.byteLength + tensor.dataOffsets[0];
      positions.set(tensor.name, { offset, description: describe(i, tensor.dtype, tensor.shape) });
    }
    headers.push(bytes);
  }
  const placements = tensors.map((tensor, i): Placement => {
    const position = positions.get(tensor.name);
    const expected = describe(tensor.file, tensor.dtype, tensor.shape);
    if (position?.description !== expected) {
      throw mismatch(archive, tensor, expected, position?.description ?? 'no such tensor');
    }
    return { tensor: i, output: tensor.file, outputOffset: position.offset };
  });
  if (positions.size !== tensors.length) {
    const message = `expected ${tensors.length} tensors in the headers of the weight files, found ${positions.size}`;
    throw new FormatError('ere', message, { file: archive.source.name });
  }
  return { headers, placements };
}

function describe(file: number, dtype: string, shape: readonly number[]): string {
  return `${dtype} [${shape.join(', ')}] in weight file ${file}`;
}

function mismatch(archive: Archive, tensor: ArchiveTensor, expected: string, found: string): FormatError {
  const message = `the header of its weight file disagrees with the index: expected ${expected}, found ${found}`;
  return new FormatError('ere', message, { file: archive.source.name, tensor: tensor.name });
}

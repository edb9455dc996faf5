/** A weight file of the fine-tune as a stream: its header, then its tensors, each checked before its bytes go out. */
import { NotFoundError } from '../../formats/errors.js';
import { readArchiveLayout } from '../residual/archive-layout.js';
import { decodeNumbers, type WebDecodeOptions } from './decode.js';

export interface DecodeFileOptions extends Omit<WebDecodeOptions, 'tensors'> {
  /** Path of the weight file in the checkpoint; default: the first, which is the only one without shards. */
  readonly path?: string;
}

/**
 * The bytes of one weight file of `archive.index.files`, whose `byteLength` is that of the whole stream. Nothing is
 * decoded ahead of what is read but the tensors in work. A stream that fails has given out nothing wrong, and errors
 * as `decode` throws.
 * @throws NotFoundError in the stream for a path that the archive has not
 */
export function decodeFile(options: DecodeFileOptions): ReadableStream<Uint8Array> {
  const pieces = filePieces(options);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await pieces.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await pieces.return();
      },
    },
    { highWaterMark: 0 },
  );
}

async function* filePieces({ path, ...options }: DecodeFileOptions): AsyncGenerator<Uint8Array, void, void> {
  const { archive } = options;
  const { files } = archive.index;
  const file = path === undefined ? 0 : files.findIndex((candidate) => candidate.path === path);
  if (files[file] === undefined) {
    const paths = files.map((candidate) => candidate.path).join(', ');
    throw new NotFoundError(`${archive.source.name}: no weight file ${JSON.stringify(path)} among ${paths}`);
  }
  const { headers, placements } = await readArchiveLayout(archive);
  yield headers[file]!;
  const numbers = placements
    .filter(({ output }) => output === file)
    .sort((x, y) => x.outputOffset - y.outputOffset)
    .map(({ tensor }) => tensor);
  for await (const { bytes } of decodeNumbers(options, numbers)) {
    if (bytes.byteLength > 0) yield bytes;
  }
}

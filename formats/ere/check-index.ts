/**
 * The rules of an archive index that tie fields to one another (docs/spec/archive.md §4.7). With the types
 * checked, an index that passes describes every byte of the archive once and every byte of the decoded
 * checkpoint once: no holes, no overlaps, no dangling reference.
 */

import { assertInflatedByteLength } from '../deflate.js';
import { elementCount, tensorByteLength } from '../dtype.js';
import { FormatError } from '../errors.js';
import type { ArchiveIndex, ArchiveTensor, ChunkBlob } from './archive-index.js';

/** @throws FormatError that names the JSON path and the broken rule; LimitError for an impossible blob. */
export function checkIndex(
  index: ArchiveIndex,
  options: { readonly file: string; readonly chunksByteLength?: number | undefined },
): void {
  new IndexCheck(index, options.file).run(options.chunksByteLength);
}

class IndexCheck {
  readonly #index: ArchiveIndex;
  readonly #file: string;
  /** Per chunk: 1 once something refers to it. */
  readonly #used: Uint8Array;

  constructor(index: ArchiveIndex, file: string) {
    this.#index = index;
    this.#file = file;
    this.#used = new Uint8Array(index.chunks.length);
  }

  run(chunksByteLength: number | undefined): void {
    this.#checkUnique(this.#index.codecs, 'index.codecs');
    this.#checkPaths();
    this.#checkBlobs();
    this.#checkTensors();
    this.#checkLossyDigest();
    this.#checkNames();
    this.#checkChunks(chunksByteLength);
  }

  #fail(path: string, message: string, tensor?: string): never {
    throw new FormatError('ere', `${path}: ${message}`, { file: this.#file, tensor });
  }

  #checkUnique(names: readonly string[], path: string): void {
    const seen = new Set<string>();
    names.forEach((name, i) => {
      if (seen.has(name))
        this.#fail(`${path}[${i}]`, `expected unique names, found ${JSON.stringify(name)} again`);
      seen.add(name);
    });
  }

  /** Paths are unique, and none is a folder of another. */
  #checkPaths(): void {
    const { files, sideFiles } = this.#index;
    const paths = new Set<string>();
    const folders = new Set<string>();
    const place = (i: number) =>
      i < files.length ? `index.files[${i}].path` : `index.sideFiles[${i - files.length}].path`;
    const all = [...files, ...sideFiles].map(({ path }) => path);
    all.forEach((path, i) => {
      if (paths.has(path)) this.#fail(place(i), `expected unique paths, found ${JSON.stringify(path)} again`);
      paths.add(path);
      for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1))
        folders.add(path.slice(0, end));
    });
    all.forEach((path, i) => {
      if (folders.has(path))
        this.#fail(place(i), `expected a file, found ${JSON.stringify(path)} as a folder of another path`);
    });
  }

  #checkBlobs(): void {
    this.#index.files.forEach(({ header }, i) => {
      this.#checkBlob(header, `index.files[${i}].header`);
    });
    this.#index.sideFiles.forEach(({ byteLength, content }, i) => {
      if (content === undefined) return;
      const path = `index.sideFiles[${i}].content`;
      this.#checkBlob(content, path);
      if (content.byteLength !== byteLength) {
        this.#fail(`${path}.byteLength`, `expected the file's ${byteLength}, found ${content.byteLength}`);
      }
    });
  }

  #checkBlob({ chunk, byteLength, encoding }: ChunkBlob, path: string): void {
    this.#useChunk(chunk, `${path}.chunk`);
    const [stored] = this.#index.chunks[chunk];
    if (encoding === 'deflate-raw') {
      assertInflatedByteLength(stored, byteLength, { format: 'ere', file: this.#file, part: path });
    } else if (byteLength !== stored) {
      this.#fail(`${path}.byteLength`, `expected the ${stored} bytes of chunk ${chunk}, found ${byteLength}`);
    }
  }

  #useChunk(chunk: number, path: string): void {
    this.#assertChunk(chunk, path);
    this.#used[chunk] = 1;
  }

  #assertChunk(chunk: number, path: string, tensor?: string): void {
    const count = this.#index.chunks.length;
    if (chunk >= count) this.#fail(path, `expected a chunk number under ${count}, found ${chunk}`, tensor);
  }

  #checkTensors(): void {
    const { files, tensors } = this.#index;
    const codecs = new Set(this.#index.codecs);
    const byteLengths = files.map(({ header }) => header.byteLength);
    let previousFile = 0;
    tensors.forEach((tensor, i) => {
      const path = `index.tensors[${i}]`;
      const { file, name } = tensor;
      if (file >= files.length) {
        this.#fail(`${path}.file`, `expected a file number under ${files.length}, found ${file}`, name);
      }
      if (file < previousFile) {
        this.#fail(
          `${path}.file`,
          `expected tensors in the order of their files, found ${file} after ${previousFile}`,
          name,
        );
      }
      previousFile = file;
      byteLengths[file] += this.#byteLength(tensor.dtype, tensor.shape, path, name);
      const base = tensor.base;
      if (base !== undefined) {
        this.#byteLength(base.dtype ?? tensor.dtype, base.shape ?? tensor.shape, `${path}.base`, name);
      }
      this.#checkTensor(tensor, path, codecs);
    });
    files.forEach(({ byteLength }, i) => {
      if (byteLengths[i] !== byteLength) {
        this.#fail(
          `index.files[${i}].byteLength`,
          `expected ${byteLengths[i]} (header and tensors), found ${byteLength}`,
        );
      }
    });
  }

  #byteLength(dtype: ArchiveTensor['dtype'], shape: readonly number[], path: string, tensor: string): number {
    let byteLength: number | undefined;
    try {
      byteLength = tensorByteLength(dtype, shape);
    } catch (cause) {
      throw new FormatError('ere', `${path}.shape: ${(cause as Error).message}`, {
        file: this.#file,
        tensor,
        cause,
      });
    }
    if (byteLength === undefined) {
      this.#fail(
        `${path}.shape`,
        `expected a whole number of bytes under 2^53, found ${dtype} [${shape.join(', ')}]`,
        tensor,
      );
    }
    return byteLength;
  }

  #checkTensor(tensor: ArchiveTensor, path: string, codecs: ReadonlySet<string>): void {
    const { name, columns, terms } = tensor;
    const elements = elementCount(tensor.shape);
    if (columns === 0 || elements % columns !== 0) {
      this.#fail(`${path}.columns`, `expected a divisor of ${elements} elements, found ${columns}`, name);
    }
    const rowCount = elements / columns;
    const ofTensor = new Set<number>();
    if (terms.length === 0 && tensor.base === undefined && elements > 0) {
      this.#fail(`${path}.terms`, 'expected at least one term without a base, found none', name);
    }
    this.#checkLossy(tensor, path, elements);
    terms.forEach(({ codec, rows, chunks, errorDrops }, i) => {
      const termPath = `${path}.terms[${i}]`;
      if (!codecs.has(codec)) {
        this.#fail(
          `${termPath}.codec`,
          `expected a name of index.codecs, found ${JSON.stringify(codec)}`,
          name,
        );
      }
      if (rows !== undefined && (rows[0] >= rows[1] || rows[1] > rowCount)) {
        this.#fail(
          `${termPath}.rows`,
          `expected a range of rows inside ${rowCount}, found [${rows.join(', ')})`,
          name,
        );
      }
      chunks.forEach((chunk, k) => {
        // Else a short file could name one chunk a million times, and a decoder would hold as many factors.
        if (ofTensor.has(chunk)) {
          const found = `expected chunks of their own for each term, found ${chunk} again`;
          this.#fail(`${termPath}.chunks[${k}]`, found, name);
        }
        ofTensor.add(chunk);
        if (chunk >= this.#used.length) this.#assertChunk(chunk, `${termPath}.chunks[${k}]`, name);
        this.#used[chunk] = 1;
      });
      if (errorDrops !== undefined && errorDrops.length !== chunks.length) {
        this.#fail(
          `${termPath}.errorDrops`,
          `expected one number for each of ${chunks.length} chunks, found ${errorDrops.length}`,
          name,
        );
      }
    });
  }

  /** A lossy level is a shorter list of terms, with the only statement of loss. */
  #checkLossy({ name, base, terms, quality, lossy }: ArchiveTensor, path: string, elements: number): void {
    if (lossy === undefined) return;
    const fewest = base === undefined && elements > 0 ? 1 : 0;
    if (lossy.terms < fewest || lossy.terms >= terms.length) {
      this.#fail(
        `${path}.lossy.terms`,
        `expected at least ${fewest} and fewer than all ${terms.length} terms, found ${lossy.terms}`,
        name,
      );
    }
    if (quality !== undefined) this.#fail(`${path}.quality`, 'expected none beside "lossy", found one', name);
  }

  #checkLossyDigest(): void {
    const { decoded, tensors } = this.#index;
    const isExpected = tensors.some(({ lossy }) => lossy !== undefined);
    const isFound = decoded.lossyDigest !== undefined;
    if (isExpected === isFound) return;
    this.#fail(
      'index.decoded.lossyDigest',
      isExpected
        ? 'expected a digest, as a tensor has "lossy", found none'
        : 'expected none without a tensor that has "lossy", found one',
    );
  }

  /** Tensor names are unique, and `removed` names only tensors that the decoded checkpoint lacks. */
  #checkNames(): void {
    const { tensors, removed } = this.#index;
    const names = tensors.map(({ name }) => name);
    this.#checkUnique(names, 'index.tensors');
    this.#checkUnique(removed, 'index.removed');
    const present = new Set(names);
    removed.forEach((name, i) => {
      if (present.has(name)) {
        this.#fail(`index.removed[${i}]`, `expected no tensor of the archive, found ${JSON.stringify(name)}`);
      }
    });
  }

  #checkChunks(chunksByteLength: number | undefined): void {
    const unused = this.#used.indexOf(0);
    if (unused !== -1)
      this.#fail(`index.chunks[${unused}]`, 'expected a chunk that something refers to, found none');
    if (chunksByteLength === undefined) return;
    let sum = 0;
    for (const [byteLength] of this.#index.chunks) sum += byteLength;
    if (sum !== chunksByteLength) {
      this.#fail('index.chunks', `expected ${chunksByteLength} bytes in all behind the index, found ${sum}`);
    }
  }
}

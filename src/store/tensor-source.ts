/**
 * Tensors by digest: those of bases where these lie, all others by their recipes, each decoded from the tensor that it
 * refers to while it is read, in ascending order and without being written anywhere (docs/spec/store.md §6).
 */
import type { Checkpoint, TensorInfo } from '../../formats/checkpoint.js';
import { crc32 } from '../../formats/crc32.js';
import { type Dtype, tensorByteLength } from '../../formats/dtype.js';
import type { ArchiveIndex, Digest } from '../../formats/ere/archive-index.js';
import { IntegrityError, NotFoundError } from '../../formats/errors.js';
import { BlockRooms } from '../residual/decode-tensor.js';
import { openReconstruction, type Reconstruction } from '../residual/reconstruction.js';
import type { Runtime } from '../residual/runtime.js';
import type { StoreBackend } from './backend.js';
import { ObjectReader } from './objects.js';
import { MAX_DEPTH, type Recipe, type RecipeChunk } from './recipe.js';
import type { Trace } from './store-reader.js';

/** A base that is at hand. */
export interface LocatedBase {
  readonly checkpoint: Checkpoint;
  /** Names of its tensors. */
  readonly names: ReadonlyMap<Digest, string>;
}

export interface TensorSourceOptions {
  readonly backend: StoreBackend;
  /** Of the tensors that are asked for, and those behind them. */
  readonly recipes: Trace['recipes'];
  readonly bases: readonly LocatedBase[];
  readonly runtime: Runtime;
  /** Elements of a block at most; default 131,072. */
  readonly blockElements?: number;
}

/**
 * Every step of a chain holds a few blocks while the chain is read, and no memory cap counts them: small ones take under
 * 2 MB a step, and no more time than the decoder's own, eight times as large.
 */
const BLOCK_ELEMENTS = 1 << 17;

/** A tensor that others are coded against. */
export interface Reference {
  readonly digest: Digest;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/** Its name in the checkpoint of all of them: bytes may occur in several shapes. */
export function referenceName({ digest, dtype, shape }: Reference): string {
  return `${digest} ${dtype} [${shape.join()}]`;
}

function digestOfName(name: string): Digest {
  return name.slice(0, name.indexOf(' ')) as Digest;
}

/** Reads one tensor from its first byte to its last. */
interface Reader {
  read(byteOffset: number, byteLength: number, room?: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

export class TensorSource {
  readonly objects: ObjectReader;
  readonly #options: TensorSourceOptions;
  /** Rooms that no tensor uses now. */
  readonly #rooms: BlockRooms[] = [];

  constructor(options: TensorSourceOptions) {
    this.#options = options;
    this.objects = new ObjectReader(options.backend);
  }

  /** Where a base has the tensor. */
  inBase(digest: Digest): { readonly checkpoint: Checkpoint; readonly name: string } | undefined {
    for (const { checkpoint, names } of this.#options.bases) {
      const name = names.get(digest);
      if (name !== undefined) return { checkpoint, name };
    }
    return undefined;
  }

  /** A chunk of a recipe, checked. @throws IntegrityError, NotFoundError */
  async readChunk(chunk: RecipeChunk): Promise<Uint8Array> {
    const bytes = await this.objects.read(chunk.object, chunk.byteOffset, chunk.byteLength);
    const found = crc32(bytes);
    if (found !== chunk.crc32) {
      const subject = `${this.#location}, object ${chunk.object}, byte ${chunk.byteOffset}`;
      throw new IntegrityError(subject, `CRC-32 ${chunk.crc32}`, `${found}`, 'the store is damaged');
    }
    return bytes;
  }

  /**
   * What the tensors of an index are coded against, as a checkpoint. Each tensor is read in
   * ascending order; going back decodes anew.
   */
  references(index: ArchiveIndex): Checkpoint {
    const tensors = new Map<string, TensorInfo>();
    for (const { base, dtype, shape } of index.tensors) {
      if (base === undefined) continue;
      const info = { dtype: base.dtype ?? dtype, shape: base.shape ?? shape };
      const name = referenceName({ digest: base.digest, ...info });
      const byteLength = tensorByteLength(info.dtype, info.shape)!;
      tensors.set(name, { name, ...info, byteLength, file: 0, byteOffset: 0 });
    }
    return new References(this, this.#location, tensors);
  }

  /** @throws NotFoundError where neither a base nor a recipe gives the tensor; IntegrityError where a chain does not end */
  async open(digest: Digest, depth = 0): Promise<Reader> {
    const found = this.inBase(digest);
    if (found !== undefined) {
      const { checkpoint, name } = found;
      return {
        read: (byteOffset, byteLength, room) => checkpoint.read(name, byteOffset, byteLength, room),
        close: async () => {},
      };
    }
    const recipe = this.#options.recipes.get(digest);
    if (recipe === undefined) throw this.#missing(digest);
    if (depth === MAX_DEPTH) throw this.#endless(digest);
    const { reference } = recipe;
    const below = reference && (await this.open(reference.digest, depth + 1));
    return this.#decode(recipe, below);
  }

  async close(): Promise<void> {
    await this.objects.close();
  }

  get #location(): string {
    return this.#options.backend.location;
  }

  #decode(recipe: Recipe, below: Reader | undefined): Reader {
    const { dtype, shape, columns, terms, chunks, reference } = recipe;
    const { blockElements = BLOCK_ELEMENTS, runtime } = this.#options;
    const rooms = this.#rooms.pop() ?? new BlockRooms();
    const decoded: Reconstruction = openReconstruction({
      tensor: {
        name: recipe.digest,
        dtype,
        shape,
        columns,
        terms,
        ...(reference === undefined ? {} : { base: { dtype: reference.dtype, shape: reference.shape } }),
      },
      archive: this.#location,
      readChunk: (chunk) => this.readChunk(chunks[chunk]!),
      ...(below === undefined ? {} : { readBase: below.read }),
      blockElements,
      withValues: false,
      rooms,
      runtime,
    });
    return {
      read: decoded.readBytes,
      close: async () => {
        await decoded.close();
        this.#rooms.push(rooms);
        await below?.close();
      },
    };
  }

  #endless(digest: Digest): IntegrityError {
    const expected = `a chain of at most ${MAX_DEPTH} recipes`;
    return new IntegrityError(
      `${this.#location}, tensor ${digest}`,
      expected,
      'a longer one',
      'look at the store with fsck',
    );
  }

  #missing(digest: Digest): NotFoundError {
    return new NotFoundError(
      `${this.#location}: nothing gives tensor ${digest}: neither a recipe of the store nor a base that is at hand; ` +
        'give the path of the base, or look at the store with fsck',
    );
  }
}

/** Reads come one after another for each tensor; a tensor that was read to its end is closed. */
class References implements Checkpoint {
  readonly location: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly files = [];
  readonly sideFiles = [];
  readonly skippedFiles = [];
  readonly #source: TensorSource;
  readonly #readers = new Map<string, Promise<Reader>>();
  readonly #last = new Map<string, Promise<unknown>>();

  constructor(source: TensorSource, location: string, tensors: ReadonlyMap<string, TensorInfo>) {
    this.#source = source;
    this.location = location;
    this.tensors = tensors;
  }

  async read(
    name: string,
    byteOffset = 0,
    byteLength = this.tensors.get(name)!.byteLength - byteOffset,
    room?: Uint8Array,
  ): Promise<Uint8Array> {
    const found = this.#source.inBase(digestOfName(name));
    if (found !== undefined) return found.checkpoint.read(found.name, byteOffset, byteLength, room);
    const turn = (this.#last.get(name) ?? Promise.resolve()).then(() =>
      this.#readNext(name, byteOffset, byteLength, room),
    );
    this.#last.set(
      name,
      turn.catch(() => {}),
    );
    return turn;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#last.values()]);
    const readers = [...this.#readers.values()];
    this.#readers.clear();
    await Promise.all(readers.map((reader) => reader.then((open) => open.close()).catch(() => {})));
  }

  async #readNext(
    name: string,
    byteOffset: number,
    byteLength: number,
    room: Uint8Array | undefined,
  ): Promise<Uint8Array> {
    let reader = this.#readers.get(name);
    if (reader === undefined) {
      reader = this.#source.open(digestOfName(name));
      this.#readers.set(name, reader);
    }
    const open = await reader;
    const bytes = await open.read(byteOffset, byteLength, room);
    if (byteOffset + byteLength >= this.tensors.get(name)!.byteLength) {
      this.#readers.delete(name);
      await open.close();
    }
    return bytes;
  }
}

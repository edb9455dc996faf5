/**
 * A store that is served as plain files (docs/spec/store-backends.md §5): read-only. The value of a key is at
 * `<url>/<key>`, each segment percent-encoded; what there is, the value `inventory` tells.
 */
import { assertRange } from '../../../formats/byte-source.js';
import { IoError, isEreError, UnsupportedError } from '../../../formats/errors.js';
import { throwIfAborted } from '../../io/abort.js';
import type { RetryOptions } from '../../io/retries.js';
import { unlessMissing } from '../../io/unless-missing.js';
import type { Key, OpenValue, RequestOptions, StoreBackend, StoredValue } from '../backend.js';
import { assertKey, assertPrefix, isUnder } from '../keys.js';
import { DEFAULT_MAX_BYTE_LENGTH } from './content.js';
import {
  type HttpAccess,
  type HttpProperties,
  type HttpValue,
  headValue,
  readRange,
  readWhole,
} from './http-values.js';
import { INVENTORY_KEY, parseInventory } from './inventory.js';

export interface HttpBackendOptions extends RetryOptions {
  /** Default: globalThis.fetch. */
  readonly fetch?: typeof fetch;
  /** Sent with every request, as for authorization. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** About a million values. */
const MAX_INVENTORY_BYTE_LENGTH = 256 << 20;

/**
 * A backend over http: or https:. Nothing is asked of the server yet.
 * @param url of the folder; a user and password in it are sent as basic authorization, a query with every request,
 *   and neither is ever shown
 * @throws RangeError for what is no such URL
 */
export function openHttpBackend(url: string, options: HttpBackendOptions = {}): StoreBackend {
  const base = URL.canParse(url) ? new URL(url) : undefined;
  if (base === undefined || !/^https?:$/.test(base.protocol))
    throw new RangeError('expected an http: or https: URL');
  const user = [base.username, base.password].map(decodeURIComponent).join(':');
  const authorization =
    user === ':' ? {} : { authorization: `Basic ${Buffer.from(user).toString('base64')}` };
  base.username = '';
  base.password = '';
  base.hash = '';
  return new HttpBackend(base, {
    ...options,
    fetch: options.fetch ?? globalThis.fetch,
    headers: { ...authorization, ...options.headers },
  });
}

class HttpBackend implements StoreBackend {
  readonly location: string;
  readonly isReadOnly = true;
  readonly #base: URL;
  readonly #access: HttpAccess;

  constructor(base: URL, access: HttpAccess) {
    this.#base = base;
    this.#access = access;
    this.location = `${base.origin}${base.pathname.replace(/\/+$/, '')}`;
  }

  async read(
    key: Key,
    options: RequestOptions & { readonly maxByteLength?: number } = {},
  ): Promise<Uint8Array> {
    const value = this.#value(key);
    throwIfAborted(options.signal);
    return readWhole(this.#access, value, options.maxByteLength ?? DEFAULT_MAX_BYTE_LENGTH, options.signal);
  }

  async open(key: Key, options: RequestOptions = {}): Promise<OpenValue> {
    const value = this.#value(key);
    const properties = await headValue(this.#access, value, options.signal);
    return openValue(this.#access, value, properties, options.signal);
  }

  async stat(key: Key, options: RequestOptions = {}): Promise<StoredValue | undefined> {
    const value = this.#value(key);
    const found = await unlessMissing(headValue(this.#access, value, options.signal));
    if (found === undefined) return undefined;
    const modifiedMs = Date.parse(found.lastModified ?? '');
    return { key, byteLength: found.byteLength, modifiedMs: Number.isNaN(modifiedMs) ? 0 : modifiedMs };
  }

  async *list(prefix: string, options: RequestOptions = {}): AsyncGenerator<StoredValue, void, void> {
    assertPrefix(prefix);
    throwIfAborted(options.signal);
    const inventory = this.#value(INVENTORY_KEY);
    const bytes = await readWhole(this.#access, inventory, MAX_INVENTORY_BYTE_LENGTH, options.signal).catch(
      (error: unknown) => {
        if (!isEreError(error, 'ERE_NOT_FOUND')) throw error;
        const message = `${this.location}: cannot list: it has no inventory; write one with inventory where the store is kept`;
        throw new UnsupportedError('listing over HTTP', message, { cause: error });
      },
    );
    for (const value of parseInventory(new TextDecoder().decode(bytes), inventory.shown)) {
      throwIfAborted(options.signal);
      if (isUnder(value.key, prefix)) yield value;
    }
  }

  async write(key: Key): Promise<void> {
    this.#refuse(key);
  }

  async compareAndSwap(key: Key): Promise<boolean> {
    return this.#refuse(key);
  }

  async remove(key: Key): Promise<void> {
    this.#refuse(key);
  }

  async removeLeftovers(): Promise<number> {
    return 0;
  }

  async close(): Promise<void> {}

  #refuse(key: Key): never {
    assertKey(key);
    const message = `${this.location}: cannot write: over HTTP a store is read-only`;
    throw new UnsupportedError('writing over HTTP', message);
  }

  #value(key: Key): HttpValue {
    assertKey(key);
    const path = key.split('/').map(encodeURIComponent).join('/');
    const url = new URL(this.#base);
    url.pathname = `${url.pathname.replace(/\/+$/, '')}/${path}`;
    return { shown: `${this.location}/${key}`, url };
  }
}

function openValue(
  access: HttpAccess,
  value: HttpValue,
  properties: HttpProperties,
  signal: AbortSignal | undefined,
): OpenValue {
  const { byteLength } = properties;
  let isClosed = false;
  return {
    name: value.shown,
    byteLength,
    async read(offset, length, room) {
      assertRange(value.shown, byteLength, offset, length);
      if (isClosed) throw new IoError(`${value.shown}: cannot read: the value is closed`);
      const bytes = room?.byteLength === length ? room : new Uint8Array(length);
      if (length > 0) await readRange(access, value, properties, offset, bytes, signal);
      return bytes;
    },
    async close() {
      isClosed = true;
    },
  };
}

/** Everything behind the port: a catalog, threads that rebuild, a cache, and the function that answers requests. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { defaultThreads } from '../io/default-threads.js';
import { assertMemoryCap, defaultMemoryCap } from '../residual/memory-budget.js';
import { openBackend } from '../store/backends/open-backend.js';
import type { HandlerOptions } from './api.js';
import { openArchiveCatalog } from './archive-catalog.js';
import { createAccessCheck } from './authorization.js';
import type { Catalog } from './catalog.js';
import { createRequestHandler } from './handler.js';
import { MIN_SERVE_MEMORY_CAP, SERVING_BYTE_LENGTH } from './limits.js';
import { createMetrics } from './metrics.js';
import { Rebuilder } from './rebuilder.js';
import { SendBuffers } from './send-buffers.js';
import { openStoreCatalog } from './store-catalog.js';

const DEFAULT_CACHE_BYTE_LENGTH = 10 * 2 ** 30;
const DEFAULT_STALL_MS = 60_000;
/** Shorter tokens can be guessed. */
const MIN_TOKEN_LENGTH = 16;

/** A server's inside, for one that has a port of its own: mount `handle` where requests come in. */
export interface HubHandler {
  /** Answers a request. Never rejects. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** What is served. */
  readonly catalog: Catalog;
  /** Gives up what is being rebuilt, and frees everything. */
  close(): Promise<void>;
}

/** What only the one that listens knows. */
export interface Listener {
  connectionCount(): number;
  /** `host:port`. */
  address(): string;
}

/**
 * @throws RangeError, TypeError for options that make no sense; NotFoundError without a store or folder; IoError for a cache
 * that cannot be made
 */
export async function openHubHandler(options: HandlerOptions, listener?: Listener): Promise<HubHandler> {
  assertHandlerOptions(options);
  const { tokens = [], allowedHosts = [], stallMs = DEFAULT_STALL_MS } = options;
  const onLog = options.onLog ?? (() => {});
  const threads = options.threads ?? defaultThreads();
  const memoryCap = Math.max(MIN_SERVE_MEMORY_CAP, options.memoryCap ?? defaultMemoryCap());
  const catalog = await openCatalog(options, { threads, decodeMemory: memoryCap - SERVING_BYTE_LENGTH });
  try {
    const rebuilder = await Rebuilder.open({
      cacheFolder: resolve(options.cacheFolder ?? defaultCacheFolder()),
      maxCacheByteLength: options.maxCacheByteLength ?? DEFAULT_CACHE_BYTE_LENGTH,
      threads,
      onRebuilt: (part, durationMs, error) => metrics.rebuilt(part, durationMs, error),
    });
    const metrics = createMetrics({
      connectionCount: () => listener?.connectionCount() ?? 0,
      cacheStats: () => rebuilder.stats,
    });
    const handle = createRequestHandler({
      catalog,
      rebuilder,
      memory: new SendBuffers(SERVING_BYTE_LENGTH / 2),
      metrics,
      checkAccess: createAccessCheck({ tokens, allowedHosts }),
      isPrivate: tokens.length > 0,
      stallMs,
      onLog,
      fallbackHost: () => listener?.address() ?? 'localhost',
    });
    const close = async (): Promise<void> => {
      await rebuilder.close();
      await catalog.close();
    };
    return { handle, catalog, close };
  } catch (error) {
    await catalog.close();
    throw error;
  }
}

async function openCatalog(
  { store, archives, bases = [], hubCacheFolder, onLog }: HandlerOptions,
  plan: { readonly threads: number; readonly decodeMemory: number },
): Promise<Catalog> {
  if (archives !== undefined) {
    const onWarning = (message: string): void =>
      onLog?.({ time: new Date().toISOString(), level: 'warning', event: 'warning', message });
    return openArchiveCatalog({ ...plan, folder: archives, bases, hubCacheFolder, onWarning });
  }
  const backend = typeof store === 'string' ? await openBackend(store) : store!;
  try {
    return await openStoreCatalog({ ...plan, backend, basePath: bases[0] });
  } catch (error) {
    await backend.close();
    throw error;
  }
}

function defaultCacheFolder(): string {
  const { XDG_CACHE_HOME, HOME } = process.env;
  return join(XDG_CACHE_HOME || join(HOME || homedir(), '.cache'), 'ere');
}

function assertHandlerOptions(options: HandlerOptions): void {
  const {
    store,
    archives,
    bases = [],
    tokens = [],
    threads,
    memoryCap,
    maxCacheByteLength,
    stallMs,
  } = options;
  if ((store === undefined) === (archives === undefined))
    throw new TypeError('expected a store or a folder of archives, and one of them');
  if (store !== undefined && bases.length > 1)
    throw new TypeError(`expected at most one path for the bases of a store, got ${bases.length}`);
  for (const token of tokens) {
    // It is not repeated: messages end up in logs.
    if (token.length < MIN_TOKEN_LENGTH || !/^[\x21-\x7e]+$/.test(token)) {
      throw new RangeError(
        `expected tokens of at least ${MIN_TOKEN_LENGTH} printable ASCII characters without blanks`,
      );
    }
  }
  for (const [name, value] of Object.entries({ threads, maxCacheByteLength, stallMs })) {
    if (value !== undefined && (!Number.isSafeInteger(value) || value < 1))
      throw new RangeError(`expected ${name} to be a whole number of at least 1, got ${value}`);
  }
  assertMemoryCap(memoryCap, MIN_SERVE_MEMORY_CAP);
}

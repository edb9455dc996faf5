/** Options of serving, and what it says while it goes on. */
import type { CommonOptions } from '../residual/api.js';
import type { StoreBackend } from '../store/backend.js';

export interface ServeSources {
  /** A store: a folder, a URL, or a backend that is open. */
  readonly store?: string | StoreBackend;
  /** A folder of archives, `name.ere` and `user/name.ere`, instead of a store. */
  readonly archives?: string;
  /** Where bases lie: for a store the path to look at first, for archives all that they may be made from. */
  readonly bases?: readonly string[];
  /** Local cache of the Hub, where bases that archives name are looked for too. */
  readonly hubCacheFolder?: string;
}

export interface HandlerOptions extends ServeSources, Pick<CommonOptions, 'threads'> {
  /** Whoever sends one of them may read; default: everybody may. Each at least 16 characters. */
  readonly tokens?: readonly string[];
  /** Names that the server may be asked by without a token, besides `localhost` and addresses. */
  readonly allowedHosts?: readonly string[];
  /** Folder for rebuilt tensors; default: `ere` in the user's cache folder (XDG_CACHE_HOME, ~/.cache). */
  readonly cacheFolder?: string;
  /** Bytes of rebuilt tensors that are kept on disk; default 10 GiB. */
  readonly maxCacheByteLength?: number;
  /** Most bytes of resident memory, at least 424 MiB; default: half of what is free. */
  readonly memoryCap?: number;
  /** A client that takes nothing for so long is given up; default 60 s. */
  readonly stallMs?: number;
  readonly onLog?: (record: LogRecord) => void;
}

export interface ServeOptions extends HandlerOptions {
  /** Default 127.0.0.1: this machine alone. */
  readonly host?: string;
  /** Default 8080; 0 takes one that is free. */
  readonly port?: number;
  /** Connections at a time; default 1000. More are refused. */
  readonly maxConnections?: number;
  /** Time that downloads have to finish when the server is closed; default 10 s. */
  readonly shutdownMs?: number;
}

/** What happened, one record each; all values are plain. */
export type LogRecord = {
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly level: 'info' | 'warning' | 'error';
} & (
  | {
      readonly event: 'request';
      /** Also in the header X-Request-Id. */
      readonly id: string;
      readonly client: string | undefined;
      readonly method: string;
      readonly path: string;
      readonly status: number;
      /** Of the body. */
      readonly byteLength: number;
      readonly durationMs: number;
      /** Whether all of the answer was sent. */
      readonly isComplete: boolean;
      /** What went wrong, for whoever runs the server; clients are told less. */
      readonly error?: string;
    }
  | { readonly event: 'warning'; readonly message: string }
);

/** A server that runs. */
export interface Serving {
  /** `http://host:port`. */
  readonly url: string;
  readonly port: number;
  /** Models that were there when it began. */
  readonly modelCount: number;
  /** Takes no more requests, lets downloads finish for `shutdownMs`, and frees everything. */
  close(): Promise<void>;
}

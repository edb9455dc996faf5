/**
 * Where the Hub is, who asks, and where its files are kept, from options and the environment variables of
 * huggingface_hub: HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH, HF_HOME, HF_HUB_CACHE and HF_HUB_OFFLINE.
 */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { HubError } from '../../formats/errors.js';
import { readSmallFile } from '../io/file-source.js';
import type { RetryOptions } from '../io/retries.js';
import { unlessMissing } from '../io/unless-missing.js';

/** Options of everything that speaks to the Hub. */
export interface HubOptions {
  /** Default: HF_TOKEN, else the token file that `hf auth login` writes. Sent to the Hub's own host, never shown. */
  readonly token?: string;
  /** Default: HF_ENDPOINT, else https://huggingface.co. */
  readonly hubUrl?: string;
  /** Default: globalThis.fetch. */
  readonly fetch?: typeof fetch;
  /** Default: process.env. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** How often what failed is tried again. */
  readonly retries?: RetryOptions;
}

export interface HubSettings {
  /** Without a slash at the end. */
  readonly hubUrl: string;
  readonly token: string | undefined;
  readonly fetch: typeof fetch;
  readonly retries: RetryOptions;
  /** Folder of `models--org--name`. */
  readonly cacheFolder: string;
  /** HF_HUB_OFFLINE: nothing may be asked of the network. */
  readonly isOffline: boolean;
}

const DEFAULT_HUB_URL = 'https://huggingface.co';
/** Tokens have 37 bytes. */
const MAX_TOKEN_BYTE_LENGTH = 4096;
/** What huggingface_hub takes for true. */
const TRUE = /^(?:1|on|yes|true)$/i;
/** What may stand in a header; a token with anything else was damaged on its way here. */
const TOKEN = /^[\x21-\x7e]+$/;

/** @throws HubError for an endpoint that is no URL, or a token that cannot be one */
export async function hubSettings(options: HubOptions = {}): Promise<HubSettings> {
  const environment = options.environment ?? process.env;
  const home = hubHome(environment);
  const token = await findToken(options, environment, home);
  if (token !== undefined && !TOKEN.test(token)) {
    throw new HubError('the token of the Hub has characters that no token has; log in again');
  }
  return {
    hubUrl: checkedUrl(options.hubUrl ?? (environment.HF_ENDPOINT || DEFAULT_HUB_URL)),
    token,
    fetch: options.fetch ?? globalThis.fetch,
    retries: options.retries ?? {},
    cacheFolder: hubCacheFolder(environment),
    isOffline: TRUE.test(environment.HF_HUB_OFFLINE ?? ''),
  };
}

type Environment = NonNullable<HubOptions['environment']>;

/** The folder of `models--org--name`. */
export function hubCacheFolder(environment: Environment): string {
  return environment.HF_HUB_CACHE || environment.HUGGINGFACE_HUB_CACHE || join(hubHome(environment), 'hub');
}

function hubHome(environment: Environment): string {
  const caches = environment.XDG_CACHE_HOME || join(environment.HOME || homedir(), '.cache');
  return environment.HF_HOME || join(caches, 'huggingface');
}

async function findToken(
  options: HubOptions,
  environment: Readonly<Record<string, string | undefined>>,
  home: string,
): Promise<string | undefined> {
  const given = options.token?.trim() || environment.HF_TOKEN?.trim();
  if (given) return given;
  const path = environment.HF_TOKEN_PATH || join(home, 'token');
  // Without the file nobody is logged in here.
  const bytes = await unlessMissing(readSmallFile(path, MAX_TOKEN_BYTE_LENGTH));
  return new TextDecoder().decode(bytes).trim() || undefined;
}

function checkedUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // The address is not repeated: credentials may be in it.
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new HubError('expected an http: or https: address of the Hub (HF_ENDPOINT)');
  if (url.username !== '' || url.password !== '')
    throw new HubError('expected an address of the Hub without user and password (HF_ENDPOINT)');
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}

/** Who may read: holders of a token, compared in constant time; without tokens everybody who reaches the port by its address. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { Problem } from './problem.js';

export interface AccessRules {
  /** Any of them gives access; none: no token is asked for. */
  readonly tokens: readonly string[];
  /** Names by which the server may be asked without a token, besides addresses and `localhost`. */
  readonly allowedHosts: readonly string[];
}

/** Headers of a request that access depends on. */
export interface AccessHeaders {
  readonly authorization?: string | undefined;
  readonly host?: string | undefined;
}

/** @returns a function that throws Problem 401 or 421 for requests that may not read */
export function createAccessCheck({ tokens, allowedHosts }: AccessRules): (headers: AccessHeaders) => void {
  const digests = tokens.map(digestOf);
  const hosts = new Set(['localhost', ...allowedHosts.map((host) => host.toLowerCase())]);
  return ({ authorization, host }) => {
    if (digests.length === 0) return assertHost(host, hosts);
    const given = digestOf(tokenOf(authorization) ?? '');
    // Every token is compared, whichever is right.
    const matches = digests.filter((digest) => timingSafeEqual(digest, given));
    if (matches.length > 0) return;
    throw new Problem(
      401,
      authorization === undefined ? 'a token is needed: log in with one of this server' : 'invalid token',
      // Two headers: browsers take a list in one for a single scheme, which they do not know.
      { headers: { 'www-authenticate': ['Bearer realm="ere"', 'Basic realm="ere", charset="UTF-8"'] } },
    );
  };
}

/** Equal lengths, so that comparing tells nothing of the token's. */
function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** Of `Bearer TOKEN`; of `Basic` the password, for browsers and git. */
function tokenOf(authorization: string | undefined): string | undefined {
  const [, scheme, value] = /^(bearer|basic) +(\S+)$/i.exec(authorization ?? '') ?? [];
  if (scheme === undefined) return undefined;
  if (scheme.toLowerCase() === 'bearer') return value;
  const text = Buffer.from(value!, 'base64').toString();
  return text.slice(text.indexOf(':') + 1);
}

/**
 * A page on another site can make its name lead to this machine and then read what a browser here may read (DNS
 * rebinding). Its requests bear that name.
 */
function assertHost(header: string | undefined, hosts: ReadonlySet<string>): void {
  const name = (header ?? '').replace(/:\d*$/, '').toLowerCase();
  if (hosts.has(name) || isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0) return;
  throw new Problem(
    421,
    `this server does not answer to the name ${JSON.stringify(name)}; ask it by its address, or have it allowed with --allow-host`,
  );
}

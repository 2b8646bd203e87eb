import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { hostOf, isLoopback } from '../../config.ts';
import type { Config } from '../../config.ts';
import { hostnameOf } from './response-headers.ts';

/** Whether a request is for a name of this gateway. */
export type IsHostAllowed = (request: IncomingMessage) => boolean;

/**
 * Creates the check of `Host` against DNS rebinding: a page whose name resolves to this gateway's address counts as our own
 * page to the browser, so no other check would reject it. With CORS_ORIGINS, allows the hosts of its origins, HOST, and the
 * names that `isRebindable` excludes; without it, any host.
 */
export function createHostCheck(config: Config): IsHostAllowed {
  const { CORS_ORIGINS: origins } = config;
  if (origins === undefined || origins.includes('*')) return () => true;
  const hosts = origins.filter((origin) => /^https?:/.test(origin)).map((origin) => new URL(origin).host);
  const names = new Set([...hosts.map(hostnameOf), hostOf(config).toLowerCase()]);
  return ({ headers: { host } }) => host === undefined || !isRebindable(host) || names.has(hostnameOf(host));
}

/**
 * Whether a page could have this host and resolve to any address. Not an IP address, a loopback name, or a name without a
 * dot, such as that of a container: no one can register those.
 */
export function isRebindable(host: string): boolean {
  const name = hostnameOf(host);
  return isIP(name) === 0 && !isLoopback(name) && name.includes('.');
}

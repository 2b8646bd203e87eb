import type { IncomingMessage } from 'node:http';
import { hostOf, isLoopback } from '../../config.ts';
import type { Config } from '../../config.ts';
import { digestOf, isSecret } from '../../lib/secret-digest.ts';
import { isRebindable } from './allowed-hosts.ts';

/** `hidden`: the route does not exist for this request. `refused`: its token is missing or wrong. */
export type OperatorAccess = 'allowed' | 'refused' | 'hidden';

const FORWARDING_HEADERS = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via'];

/**
 * Creates the check of requests for the routes of operators. Without a token it allows only requests of this machine, where
 * HOST is a loopback address: neither those that a proxy on this machine forwards, nor those of a page that was rebound to
 * the loopback address.
 */
export function createOperatorAccess(config: Config): (request: IncomingMessage) => OperatorAccess {
  const { ADMIN_TOKEN: token } = config;
  const isLocal = isLoopback(hostOf(config));
  const digest = token === undefined ? undefined : digestOf(token);
  return (request) => {
    const { headers } = request;
    const isDirect =
      isLocal &&
      FORWARDING_HEADERS.every((name) => headers[name] === undefined) &&
      (headers.host === undefined || !isRebindable(headers.host)) &&
      headers['sec-fetch-site'] !== 'cross-site';
    if (isDirect) return 'allowed';
    if (digest === undefined) return 'hidden';
    const sent = /^bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
    return sent !== undefined && isSecret(sent, digest) ? 'allowed' : 'refused';
  };
}

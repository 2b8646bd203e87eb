import type { IncomingMessage } from 'node:http';
import type { Session } from '../../actor.ts';
import { findTokenInRequest } from '../bearer-token.ts';
import { identify } from '../identity.ts';
import type { Identity } from '../identity.ts';
import type { Ports } from '../ports.ts';

/** An identity is reused within this time: while a body arrives, the session may end. */
const MAX_AGE_MS = 1_000;

/** Authenticates a request by the token in its headers or its URL. */
export type IdentifyRequest = (request: IncomingMessage) => Promise<Identity<Session>>;

/**
 * Returns a function that authenticates each request once, however often it is called, unless the body of the request takes
 * long to arrive. Failures are not reused.
 */
export function createIdentifyRequest(
  ports: Pick<Ports, 'addressOf' | 'authenticate' | 'connectionSlots'>,
  now = () => performance.now(),
): IdentifyRequest {
  const identities = new WeakMap<
    IncomingMessage,
    { readonly identity: Promise<Identity<Session>>; readonly at: number }
  >();
  return (request) => {
    const known = identities.get(request);
    if (known !== undefined && now() - known.at <= MAX_AGE_MS) return known.identity;
    const identity = identify(ports, request, findTokenInRequest(request), ports.authenticate);
    identities.set(request, { identity, at: now() });
    identity.catch(() => identities.delete(request));
    return identity;
  };
}

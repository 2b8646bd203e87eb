import type { IncomingMessage } from 'node:http';
import { LRUCache } from 'lru-cache';

const MAX_LENGTH = 200;
const MAX_SHARED = 1_000;

/** Returns the user agent of a request, shortened. */
export const userAgentOf = ({ headers }: IncomingMessage): string | undefined =>
  headers['user-agent']?.slice(0, MAX_LENGTH);

/** Returns a function that returns equal user agents as one string: most connections that keep theirs have the same. */
export function createSharedUserAgents(): (request: IncomingMessage) => string | undefined {
  const shared = new LRUCache<string, string>({ max: MAX_SHARED });
  return (request) => {
    const userAgent = userAgentOf(request);
    if (userAgent === undefined) return undefined;
    const known = shared.get(userAgent);
    if (known !== undefined) return known;
    // A copy: a part of a string retains the whole.
    const copy = Buffer.from(userAgent).toString();
    shared.set(copy, copy);
    return copy;
  };
}

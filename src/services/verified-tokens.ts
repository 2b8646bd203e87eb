import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';

/** Tokens that are remembered: about 1 KB each. */
const MAX_TOKENS = 5_000;

interface Verified<Token> {
  readonly token: Token;
  readonly verifiedAt: number;
}

/**
 * Returns a function that verifies each token once while it is valid: a signature costs as much CPU time as a small operation.
 * Only for keys that never change. Tokens are remembered by their hash.
 */
export function verifyOnce<Token extends { readonly expiresAt: number }>(
  verify: (text: string) => Promise<Token | undefined>,
  now: () => number,
): (text: string) => Promise<Token | undefined> {
  const verifiedByHash = new LRUCache<string, Verified<Token>>({ max: MAX_TOKENS });
  return async (text) => {
    const key = hash('sha256', text, 'base64');
    const verifiedAt = now();
    const known = verifiedByHash.get(key);
    // A clock that was set back could make a token one that is not valid yet.
    if (known !== undefined && verifiedAt >= known.verifiedAt && verifiedAt < known.token.expiresAt)
      return known.token;
    const token = await verify(text);
    if (token === undefined) verifiedByHash.delete(key);
    else verifiedByHash.set(key, { token, verifiedAt });
    return token;
  };
}

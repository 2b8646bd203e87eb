import { createRemoteJWKSet, decodeProtectedHeader, errors, jwksCache, jwtVerify } from 'jose';
import type { CryptoKey, FlattenedJWSInput, JWKSCacheInput, JWTVerifyGetKey } from 'jose';
import { DomainError } from '../errors.ts';
import { parseIdentityClaims } from './identity-claims.ts';
import type { ExternalIdentity } from './identity-claims.ts';
import { CLOCK_TOLERANCE_SECONDS, readMetadata, readVerifiedClaims } from './token-claims.ts';
import type { Claims, TokenMetadata } from './token-claims.ts';

export interface JwksSettings {
  readonly url: string;
  readonly issuer: string;
  /** Undefined accepts tokens for any audience, but no ID tokens. */
  readonly audience?: string | undefined;
  /** Minimum time between two fetches of the key set for an unknown `kid`. Default: 30 s. */
  readonly cooldownMs?: number | undefined;
}

/** A token of the identity provider with a valid signature and lifetime. */
export type ExternalToken = TokenMetadata & {
  readonly kind: 'external';
  readonly identity: ExternalIdentity;
};

/** No symmetric algorithm: with one, anyone who knows the provider's public key could sign. */
export const EXTERNAL_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];

/** Creates the verifier of an identity provider's tokens. It throws UNAVAILABLE if the key set cannot be fetched. */
export function createExternalVerifier(
  { url, issuer, audience, cooldownMs }: JwksSettings,
  now: () => number,
) {
  const cache: JWKSCacheInput = {};
  const keySet = createRemoteJWKSet(new URL(url), {
    cooldownDuration: cooldownMs ?? 30_000,
    [jwksCache]: cache,
  });
  const options = {
    algorithms: EXTERNAL_ALGORITHMS,
    requiredClaims: ['exp', 'sub'],
    clockTolerance: CLOCK_TOLERANCE_SECONDS,
    issuer,
    ...(audience === undefined ? {} : { audience }),
  };
  const findKey: JWTVerifyGetKey<CryptoKey> = async (header, jws) => {
    try {
      return await keySet(header, jws);
    } catch (error) {
      // The key of a token that is newer than the key set may be new, too, and cannot be fetched yet.
      const mayBeNew = keySet.coolingDown && isIssuedAfter(jws, cache.uat ?? 0);
      if (error instanceof errors.JWKSNoMatchingKey && !mayBeNew) throw error;
      if (error instanceof errors.JWKSMultipleMatchingKeys) throw error;
      throw new DomainError('UNAVAILABLE', 'The identity provider is unavailable. Try again later.');
    }
  };

  const verifyClaims = async (token: string): Promise<Claims | undefined> => {
    try {
      return await readVerifiedClaims(
        (currentDate) => jwtVerify(token, findKey, { ...options, currentDate }),
        now,
      );
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      // Without a `kid` several keys match: try each.
      for await (const key of error) {
        const claims = await readVerifiedClaims(
          (currentDate) => jwtVerify(token, key, { ...options, currentDate }),
          now,
        );
        if (claims !== undefined) return claims;
      }
      return undefined;
    }
  };

  return async (token: string): Promise<ExternalToken | undefined> => {
    const claims = await verifyClaims(token);
    if (claims === undefined || (claims['kind'] ?? 'user') !== 'user') return undefined;
    if (!isForAccess(token, claims, audience === undefined)) return undefined;
    const identity = parseIdentityClaims(issuer, claims);
    return identity && { kind: 'external', identity, ...readMetadata(token, claims) };
  };
}

/** Whether a token, not verified yet, names a time of issue after the given one, in milliseconds. */
function isIssuedAfter({ payload }: FlattenedJWSInput, time: number): boolean {
  try {
    const text = typeof payload === 'string' ? Buffer.from(payload, 'base64url') : payload;
    const { iat } = JSON.parse(Buffer.from(text).toString()) as Claims;
    return typeof iat === 'number' && (iat + 1) * 1000 > time;
  } catch {
    return false;
  }
}

/** Media types of access tokens, and of tokens whose issuer does not tell them apart (RFC 7519, RFC 9068). */
const ACCESS_TOKEN_TYPES: readonly unknown[] = [undefined, 'jwt', 'at+jwt'];
/** `typ` claims of Keycloak, which leaves the header the same for all tokens. */
const OTHER_TOKEN_TYPES: readonly unknown[] = ['Refresh', 'Offline', 'Logout'];
/** Claims that only ID tokens have. */
const ID_TOKEN_CLAIMS = ['nonce', 'at_hash', 'c_hash'];

/**
 * Whether a token is meant to give access: no logout token, security event or refresh token; and no ID token unless the
 * audience is checked, which then is the client that may use it here.
 */
function isForAccess(token: string, claims: Claims, acceptsAnyAudience: boolean): boolean {
  const type = decodeProtectedHeader(token)
    .typ?.toLowerCase()
    .replace(/^application\//, '');
  if (!ACCESS_TOKEN_TYPES.includes(type) || OTHER_TOKEN_TYPES.includes(claims['typ'])) return false;
  if ('events' in claims) return false;
  if (!acceptsAnyAudience) return true;
  return (
    claims['typ'] !== 'ID' &&
    claims['token_use'] !== 'id' &&
    ID_TOKEN_CLAIMS.every((name) => !(name in claims))
  );
}

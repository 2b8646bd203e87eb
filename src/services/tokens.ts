import { createHash, createSecretKey, randomUUID } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { SignJWT, createRemoteJWKSet, decodeProtectedHeader, errors, jwtVerify } from 'jose';
import type { CryptoKey, JWTVerifyGetKey } from 'jose';
import { DomainError } from '../errors.ts';
import { parseId } from '../ids.ts';
import { parseIdentityClaims } from './identity-claims.ts';
import type { ExternalIdentity } from './identity-claims.ts';
import { isText } from '../lib/text.ts';
import type { ActorRef } from '../actor.ts';

export interface TokenSettings {
  /** Signs and verifies account tokens. Of several the first signs. */
  readonly secret: string | readonly string[];
  /** Signs and verifies device tokens; whatever verifies with it is a device. */
  readonly deviceSecret?: string | readonly string[] | undefined;
  /** The key set of an outside identity provider whose tokens are accepted too. */
  readonly jwks?: JwksSettings | undefined;
}

export interface JwksSettings {
  readonly url: string;
  readonly issuer: string;
  readonly audience?: string | undefined;
  /** Least time between two readings of the key set because of a key that it lacks. */
  readonly cooldownMs?: number | undefined;
}

export interface IssuedToken {
  readonly token: string;
  readonly tokenId: string;
  /** In milliseconds since 1970. */
  readonly expiresAt: number;
}

interface Validity {
  /** Names the token for its revocation: its `jti`, or `sha256:<hex>` without one. */
  readonly tokenId: string;
  /** In milliseconds since 1970; null when the token does not say. */
  readonly issuedAt: number | null;
  /** In milliseconds since 1970. */
  readonly expiresAt: number;
}

/** A token whose signature and times are good. Whether its account exists and it was not revoked is another question. */
export type VerifiedToken =
  | (Validity & { readonly kind: 'own'; readonly actor: ActorRef })
  | (Validity & { readonly kind: 'outside'; readonly identity: ExternalIdentity });

export interface Tokens {
  issue(actor: ActorRef): Promise<IssuedToken>;
  /** Undefined for anything but a good token. Throws UNAVAILABLE when the outside key set cannot be read. */
  verify(token: string): Promise<VerifiedToken | undefined>;
}

type Claims = Readonly<Record<string, unknown>>;

const DAY_SECONDS = 24 * 60 * 60;
const LIFETIME_SECONDS = { user: DAY_SECONDS, device: 30 * DAY_SECONDS };
const MAX_TOKEN = 16_384;
const MAX_TOKEN_ID = 200;
const LATEST_MS = Date.UTC(9999, 0);
/** How far the clock of an issuer may be ahead of ours. Expiry is exact: live sessions end at that second. */
const CLOCK_TOLERANCE_SECONDS = 10;

const LOCAL_ALGORITHM = 'HS256';
/** No symmetric one: with it, whoever knows a provider's public key could sign. */
const EXTERNAL_ALGORITHMS = [
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

/** Issues and verifies tokens. The algorithm that a token names decides which keys it may be verified with at all. */
export function createTokens({ secret, deviceSecret, jwks }: TokenSettings): Tokens {
  const secrets = [secret].flat();
  const deviceSecrets = [deviceSecret ?? []].flat().filter((one) => !secrets.includes(one));
  const keys = [
    ...secrets.map((one) => ({ key: keyOf(one), isForDevices: false })),
    ...deviceSecrets.map((one) => ({ key: keyOf(one), isForDevices: true })),
  ];
  const signingKey = {
    user: keyOf(secrets[0] ?? ''),
    device: keyOf([deviceSecret ?? secret].flat()[0] ?? ''),
  };
  const outside = jwks === undefined ? undefined : createExternalVerifier(jwks);

  const verifyLocal = async (token: string): Promise<VerifiedToken | undefined> => {
    for (const { key, isForDevices } of keys) {
      const claims = await verifiedClaims(() =>
        jwtVerify(token, key, {
          algorithms: [LOCAL_ALGORITHM],
          requiredClaims: ['exp'],
          clockTolerance: CLOCK_TOLERANCE_SECONDS,
        }),
      );
      const actor = claims && readActor(claims, isForDevices);
      if (actor !== undefined) return { kind: 'own', actor, ...readValidity(token, claims ?? {}) };
    }
    return undefined;
  };

  return {
    async issue(actor) {
      const tokenId = randomUUID();
      const issuedAt = Math.floor(Date.now() / 1000);
      const expiry = issuedAt + LIFETIME_SECONDS[actor.kind];
      const token = await new SignJWT({ kind: actor.kind })
        .setProtectedHeader({ alg: LOCAL_ALGORITHM, typ: 'JWT' })
        .setSubject(String(actor.id))
        .setIssuedAt(issuedAt)
        .setExpirationTime(expiry)
        .setJti(tokenId)
        .sign(signingKey[actor.kind]);
      return { token, tokenId, expiresAt: expiry * 1000 };
    },
    async verify(token) {
      const algorithm = algorithmOf(token);
      if (algorithm === LOCAL_ALGORITHM) return verifyLocal(token);
      return algorithm === undefined ? undefined : outside?.(token);
    },
  };
}

function createExternalVerifier({ url, issuer, audience, cooldownMs }: JwksSettings) {
  const keySet = createRemoteJWKSet(new URL(url), { cooldownDuration: cooldownMs ?? 30_000 });
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
      if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
        throw error;
      throw new DomainError('UNAVAILABLE', 'The identity provider cannot be reached at the moment.');
    }
  };

  const verify = async (token: string): Promise<Claims | undefined> => {
    try {
      return await verifiedClaims(() => jwtVerify(token, findKey, options));
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      // Without a `kid` several keys may be meant: whichever fits decides.
      for await (const key of error) {
        const claims = await verifiedClaims(() => jwtVerify(token, key, options));
        if (claims !== undefined) return claims;
      }
      return undefined;
    }
  };

  return async (token: string): Promise<VerifiedToken | undefined> => {
    const claims = await verify(token);
    if (claims === undefined || (claims['kind'] ?? 'user') !== 'user') return undefined;
    const identity = parseIdentityClaims(issuer, claims);
    return identity && { kind: 'outside', identity, ...readValidity(token, claims) };
  };
}

async function verifiedClaims(verify: () => Promise<{ payload: object }>): Promise<Claims | undefined> {
  try {
    const claims: Claims = { ...(await verify()).payload };
    // The tolerance of jose is for both ends.
    return Number(claims['exp']) * 1000 > Date.now() ? claims : undefined;
  } catch (error) {
    if (error instanceof errors.JOSEError && !(error instanceof errors.JWKSMultipleMatchingKeys))
      return undefined;
    throw error;
  }
}

function algorithmOf(token: string): string | undefined {
  if (token.length > MAX_TOKEN) return undefined;
  try {
    const { alg } = decodeProtectedHeader(token);
    return alg === LOCAL_ALGORITHM || (alg !== undefined && EXTERNAL_ALGORITHMS.includes(alg))
      ? alg
      : undefined;
  } catch {
    return undefined;
  }
}

/** The original server wrote `sub` as an integer and no `kind`: the secret told devices from users. */
function readActor(claims: Claims, isForDevices: boolean): ActorRef | undefined {
  const kind = isForDevices ? 'device' : (claims['kind'] ?? 'user');
  const user = parseId<'User'>(claims['sub']);
  const device = parseId<'Device'>(claims['sub']);
  if (kind === 'user' && user !== undefined) return { kind, id: user };
  if (kind === 'device' && device !== undefined) return { kind, id: device };
  return undefined;
}

function readValidity(token: string, claims: Claims): Validity {
  const { jti, iat, exp } = claims;
  const isUsable = typeof jti === 'string' && jti !== '' && jti.length <= MAX_TOKEN_ID && isText(jti);
  return {
    tokenId: isUsable ? jti : hashOf(token),
    issuedAt: typeof iat === 'number' && Math.abs(iat) * 1000 < LATEST_MS ? iat * 1000 : null,
    expiresAt: Math.min(Number(exp) * 1000, LATEST_MS),
  };
}

/** Hashes what is signed, not the signature: that one can be written in more than one way. */
function hashOf(token: string): string {
  const signed = token.slice(0, token.lastIndexOf('.'));
  return `sha256:${createHash('sha256').update(signed).digest('hex')}`;
}

const keyOf = (secret: string): KeyObject => createSecretKey(Buffer.from(secret));

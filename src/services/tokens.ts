import { createHash, createSecretKey, randomUUID } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import {
  SignJWT,
  compactVerify,
  createRemoteJWKSet,
  decodeProtectedHeader,
  errors,
  jwksCache,
  jwtVerify,
} from 'jose';
import type { CryptoKey, FlattenedJWSInput, JWKSCacheInput, JWTVerifyGetKey } from 'jose';
import { DomainError } from '../errors.ts';
import { parseId } from '../ids.ts';
import { parseIdentityClaims } from './identity-claims.ts';
import type { ExternalIdentity } from './identity-claims.ts';
import { isText } from '../lib/text.ts';
import type { ActorRef, Session, SessionFamily } from '../actor.ts';

export interface TokenSettings {
  /** HS256 secrets of account tokens: new tokens are signed with the first; all are accepted for verification. */
  readonly secret: string | readonly string[];
  /** HS256 secrets of device tokens. A token signed with one belongs to a device, whatever its `kind`. */
  readonly deviceSecret?: string | readonly string[] | undefined;
  /** Key set of an external identity provider whose tokens are also accepted. */
  readonly jwks?: JwksSettings | undefined;
}

export interface JwksSettings {
  readonly url: string;
  readonly issuer: string;
  /** Undefined accepts tokens for any audience, but no ID tokens. */
  readonly audience?: string | undefined;
  /** Minimum time between two fetches of the key set for an unknown `kid`. Default: 30 s. */
  readonly cooldownMs?: number | undefined;
}

export interface IssuedToken {
  readonly token: string;
  readonly tokenId: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

interface TokenMetadata {
  /** Identifies the token for revocation: its `jti`, or `sha256:<hex>` without one. */
  readonly tokenId: string;
  /** Milliseconds since 1970; null without `iat`. */
  readonly issuedAt: number | null;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** A token with a valid signature and lifetime. It may still be revoked, or its account deleted. */
export type VerifiedToken =
  | (TokenMetadata & {
      readonly kind: 'local';
      readonly actor: ActorRef;
      readonly family?: SessionFamily | undefined;
      readonly generation?: number | undefined;
    })
  | (TokenMetadata & { readonly kind: 'external'; readonly identity: ExternalIdentity });

export interface Tokens {
  /** Issues a token of a new login, or of the given family. */
  issue(actor: ActorRef, options?: IssueOptions): Promise<IssuedToken>;
  /** Returns the account of a token that was signed here, valid or not, and a name of its login. */
  readSigned(token: string): Promise<{ readonly actor: ActorRef; readonly login: string } | undefined>;
  /** Returns undefined for an invalid token. Throws UNAVAILABLE if the provider's key set cannot be fetched. */
  verify(token: string): Promise<VerifiedToken | undefined>;
}

export interface IssueOptions {
  /** Number of times that all sessions of the account have been ended. Default: 0. */
  readonly generation?: number | undefined;
  readonly family?: SessionFamily | undefined;
}

type Claims = Readonly<Record<string, unknown>>;

const DAY_SECONDS = 24 * 60 * 60;
const LIFETIME_SECONDS = { user: DAY_SECONDS, device: 30 * DAY_SECONDS };
/** The absolute life of a login, however often its token is refreshed. */
const FAMILY_LIFETIME_SECONDS = { user: 30 * DAY_SECONDS, device: 90 * DAY_SECONDS };
const MAX_TOKEN_LENGTH = 16_384;
const MAX_TOKEN_ID_LENGTH = 200;
/** A family that begins with a token of an older version is named after it. */
const MAX_FAMILY_ID_LENGTH = MAX_TOKEN_ID_LENGTH + 20;
/** The column is an integer of 32 bits. */
const MAX_GENERATION = 2 ** 31 - 1;
/** Keeps times within four-digit years. */
const MAX_TIME_MS = Date.UTC(9999, 0);
/** Tolerates an issuer's clock ahead of ours, for `nbf`. Not applied to `exp`: live sessions end at that second. */
const CLOCK_TOLERANCE_SECONDS = 10;

const LOCAL_ALGORITHM = 'HS256';
/** No symmetric algorithm: with one, anyone who knows the provider's public key could sign. */
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

/**
 * Creates the issuer and verifier of tokens. The `alg` header chooses between our secrets (HS256) and the provider's
 * keys, and neither accepts the other's algorithms.
 */
export function createTokens({ secret, deviceSecret, jwks }: TokenSettings): Tokens {
  const secrets = [secret].flat();
  // A secret in both lists signs the tokens of both: their `kind` claim then tells them apart.
  const deviceSecrets = [deviceSecret ?? []].flat().filter((candidate) => !secrets.includes(candidate));
  const keys = [
    ...secrets.map((text) => ({ key: toKey(text), isForDevices: false })),
    ...deviceSecrets.map((text) => ({ key: toKey(text), isForDevices: true })),
  ];
  const signingKey = {
    user: toKey(secrets[0] ?? ''),
    device: toKey([deviceSecret ?? secret].flat()[0] ?? ''),
  };
  const verifyExternal = jwks === undefined ? undefined : createExternalVerifier(jwks);

  const verifyLocal = async (token: string): Promise<VerifiedToken | undefined> => {
    for (const { key, isForDevices } of keys) {
      const claims = await readVerifiedClaims(() =>
        jwtVerify(token, key, {
          algorithms: [LOCAL_ALGORITHM],
          requiredClaims: ['exp'],
          clockTolerance: CLOCK_TOLERANCE_SECONDS,
        }),
      );
      const actor = claims && readActor(claims, isForDevices);
      if (claims !== undefined && actor !== undefined)
        return { kind: 'local', actor, ...readMetadata(token, claims), ...readLogin(claims) };
    }
    return undefined;
  };

  return {
    async issue(actor, { generation = 0, family = startFamily(actor) } = {}) {
      const tokenId = randomUUID();
      const issuedAt = Math.floor(Date.now() / 1000);
      const expiry = Math.min(issuedAt + LIFETIME_SECONDS[actor.kind], Math.floor(family.endsAt / 1000));
      const claims = {
        kind: actor.kind,
        fam: family.id,
        fam_exp: Math.floor(family.endsAt / 1000),
        gen: generation,
      };
      const token = await new SignJWT(claims)
        .setProtectedHeader({ alg: LOCAL_ALGORITHM, typ: 'JWT' })
        .setSubject(String(actor.id))
        .setIssuedAt(issuedAt)
        .setExpirationTime(expiry)
        .setJti(tokenId)
        .sign(signingKey[actor.kind]);
      return { token, tokenId, expiresAt: expiry * 1000 };
    },
    async readSigned(token) {
      if (readAlgorithm(token) !== LOCAL_ALGORITHM) return undefined;
      for (const { key, isForDevices } of keys) {
        const claims = await readSignedClaims(token, key);
        const actor = claims && readActor(claims, isForDevices);
        if (claims === undefined || actor === undefined) continue;
        return { actor, login: readLogin(claims).family?.id ?? readMetadata(token, claims).tokenId };
      }
      return undefined;
    },
    async verify(token) {
      const algorithm = readAlgorithm(token);
      if (algorithm === LOCAL_ALGORITHM) return verifyLocal(token);
      return algorithm === undefined ? undefined : verifyExternal?.(token);
    },
  };
}

const startFamily = (actor: ActorRef, startedAt = Date.now()): SessionFamily => ({
  id: `family:${randomUUID()}`,
  endsAt: startedAt + 1000 * FAMILY_LIFETIME_SECONDS[actor.kind],
});

/**
 * Returns the family of a session; undefined if its life is over. That of a token without one, from an older version or
 * an identity provider, began with that token.
 */
export function continueFamily({ actor, family, issuedAt, tokenId }: Session): SessionFamily | undefined {
  const continued = family ?? { ...startFamily(actor, issuedAt ?? Date.now()), id: `family of ${tokenId}` };
  return continued.endsAt > Date.now() ? continued : undefined;
}

/** Returns the claims of a token with a valid signature, expired ones included. */
async function readSignedClaims(token: string, key: KeyObject): Promise<Claims | undefined> {
  try {
    const { payload } = await compactVerify(token, key, { algorithms: [LOCAL_ALGORITHM] });
    const claims: unknown = JSON.parse(new TextDecoder().decode(payload));
    return typeof claims === 'object' && claims !== null ? { ...claims } : undefined;
  } catch {
    return undefined;
  }
}

/** Reads the claims that tokens of older versions lack. */
function readLogin({ fam, fam_exp: end, gen }: Claims): {
  readonly family?: SessionFamily;
  readonly generation?: number;
} {
  return {
    ...(typeof fam === 'string' &&
    fam.length <= MAX_FAMILY_ID_LENGTH &&
    isText(fam) &&
    typeof end === 'number'
      ? { family: { id: fam, endsAt: end * 1000 } }
      : {}),
    ...(typeof gen === 'number' && Number.isInteger(gen) && gen >= 0 && gen <= MAX_GENERATION
      ? { generation: gen }
      : {}),
  };
}

function createExternalVerifier({ url, issuer, audience, cooldownMs }: JwksSettings) {
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
      return await readVerifiedClaims(() => jwtVerify(token, findKey, options));
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      // Without a `kid` several keys match: try each.
      for await (const key of error) {
        const claims = await readVerifiedClaims(() => jwtVerify(token, key, options));
        if (claims !== undefined) return claims;
      }
      return undefined;
    }
  };

  return async (token: string): Promise<VerifiedToken | undefined> => {
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

async function readVerifiedClaims(verify: () => Promise<{ payload: object }>): Promise<Claims | undefined> {
  try {
    const claims: Claims = { ...(await verify()).payload };
    // Rejects expired tokens without a tolerance: jose applies `clockTolerance` to `exp`, too.
    return Number(claims['exp']) * 1000 > Date.now() ? claims : undefined;
  } catch (error) {
    if (error instanceof errors.JOSEError && !(error instanceof errors.JWKSMultipleMatchingKeys))
      return undefined;
    throw error;
  }
}

function readAlgorithm(token: string): string | undefined {
  if (token.length > MAX_TOKEN_LENGTH) return undefined;
  try {
    const { alg } = decodeProtectedHeader(token);
    return alg === LOCAL_ALGORITHM || (alg !== undefined && EXTERNAL_ALGORITHMS.includes(alg))
      ? alg
      : undefined;
  } catch {
    return undefined;
  }
}

/** Tokens of the original server have an integer `sub` and no `kind`: the secret distinguishes devices from users. */
function readActor(claims: Claims, isForDevices: boolean): ActorRef | undefined {
  const kind = isForDevices ? 'device' : (claims['kind'] ?? 'user');
  const user = parseId<'User'>(claims['sub']);
  const device = parseId<'Device'>(claims['sub']);
  if (kind === 'user' && user !== undefined) return { kind, id: user };
  if (kind === 'device' && device !== undefined) return { kind, id: device };
  return undefined;
}

function readMetadata(token: string, claims: Claims): TokenMetadata {
  const { jti, iat, exp } = claims;
  const isUsable = typeof jti === 'string' && jti !== '' && jti.length <= MAX_TOKEN_ID_LENGTH && isText(jti);
  return {
    tokenId: isUsable ? jti : hashSigningInput(token),
    issuedAt: typeof iat === 'number' && Math.abs(iat) * 1000 < MAX_TIME_MS ? iat * 1000 : null,
    expiresAt: Math.min(Number(exp) * 1000, MAX_TIME_MS),
  };
}

/**
 * Hashes the JWS signing input (RFC 7515, section 2): the encoded header and payload, without the signature. One
 * signature has several base64url encodings, and a hash that included it would let a revoked token be used in another.
 */
function hashSigningInput(token: string): string {
  const signingInput = token.slice(0, token.lastIndexOf('.'));
  return `sha256:${createHash('sha256').update(signingInput).digest('hex')}`;
}

const toKey = (secret: string): KeyObject => createSecretKey(Buffer.from(secret));

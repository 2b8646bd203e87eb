import { createSecretKey, randomUUID } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { SignJWT, compactVerify, decodeProtectedHeader, jwtVerify } from 'jose';
import { parseId } from '../ids.ts';
import { isText } from '../lib/text.ts';
import type { ActorRef, Session, SessionFamily } from '../actor.ts';
import { createExternalVerifier, EXTERNAL_ALGORITHMS } from './external-tokens.ts';
import type { ExternalToken, JwksSettings } from './external-tokens.ts';
import {
  CLOCK_TOLERANCE_SECONDS,
  MAX_TOKEN_ID_LENGTH,
  readMetadata,
  readVerifiedClaims,
} from './token-claims.ts';
import type { Claims, TokenMetadata } from './token-claims.ts';

export interface TokenSettings {
  /** HS256 secrets of account tokens: new tokens are signed with the first; all are accepted for verification. */
  readonly secret: string | readonly string[];
  /** HS256 secrets of device tokens. A token signed with one belongs to a device, whatever its `kind`. */
  readonly deviceSecret?: string | readonly string[] | undefined;
  /** Key set of an external identity provider whose tokens are also accepted. */
  readonly jwks?: JwksSettings | undefined;
  /** Verifies all tokens that were not issued here, of any format. */
  readonly verifyByHost?: ((token: string) => Promise<ExternalToken | undefined>) | undefined;
  /** The time by which tokens expire, in milliseconds since 1970. Default: by this node's clock. */
  readonly now?: () => number;
}

export interface IssuedToken {
  readonly token: string;
  readonly tokenId: string;
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
  | ExternalToken;

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

const DAY_SECONDS = 24 * 60 * 60;
const LIFETIME_SECONDS = { user: DAY_SECONDS, device: 30 * DAY_SECONDS };
/** The absolute life of a login, however often its token is refreshed. */
const FAMILY_LIFETIME_SECONDS = { user: 30 * DAY_SECONDS, device: 90 * DAY_SECONDS };
const MAX_TOKEN_LENGTH = 16_384;
/** A family that begins with a token of an older version is named after it. */
const MAX_FAMILY_ID_LENGTH = MAX_TOKEN_ID_LENGTH + 20;
/** The column is an integer of 32 bits. */
const MAX_GENERATION = 2 ** 31 - 1;
const LOCAL_ALGORITHM = 'HS256';
/**
 * Creates the issuer and verifier of tokens. The `alg` header chooses between our secrets (HS256) and the provider's
 * keys, and neither accepts the other's algorithms.
 */
export function createTokens({
  secret,
  deviceSecret,
  jwks,
  verifyByHost,
  now = Date.now,
}: TokenSettings): Tokens {
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
  const verifyExternal = jwks === undefined ? undefined : createExternalVerifier(jwks, now);

  const verifyLocal = async (token: string): Promise<VerifiedToken | undefined> => {
    for (const { key, isForDevices } of keys) {
      const claims = await readVerifiedClaims(
        (currentDate) =>
          jwtVerify(token, key, {
            algorithms: [LOCAL_ALGORITHM],
            requiredClaims: ['exp'],
            clockTolerance: CLOCK_TOLERANCE_SECONDS,
            currentDate,
          }),
        now,
      );
      const actor = claims && readActor(claims, isForDevices);
      if (claims !== undefined && actor !== undefined)
        return { kind: 'local', actor, ...readMetadata(token, claims), ...readLogin(claims) };
    }
    return undefined;
  };

  return {
    async issue(actor, { generation = 0, family = startFamily(actor, now()) } = {}) {
      const tokenId = randomUUID();
      const issuedAt = Math.floor(now() / 1000);
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
      if (algorithm === LOCAL_ALGORITHM) {
        const local = await verifyLocal(token);
        if (local !== undefined) return local;
      } else if (algorithm !== undefined && verifyExternal !== undefined) {
        const external = await verifyExternal(token);
        if (external !== undefined) return external;
      }
      return token.length > MAX_TOKEN_LENGTH ? undefined : verifyByHost?.(token);
    },
  };
}

const startFamily = (actor: ActorRef, startedAt: number): SessionFamily => ({
  id: `family:${randomUUID()}`,
  endsAt: startedAt + 1000 * FAMILY_LIFETIME_SECONDS[actor.kind],
});

/**
 * Returns the family of a session; undefined if its life is over. That of a token without one, from an older version or
 * an identity provider, began with that token.
 */
export function continueFamily(
  { actor, family, issuedAt, tokenId }: Session,
  now: number,
): SessionFamily | undefined {
  const continued = family ?? { ...startFamily(actor, issuedAt ?? now), id: `family of ${tokenId}` };
  return continued.endsAt > now ? continued : undefined;
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

const toKey = (secret: string): KeyObject => createSecretKey(Buffer.from(secret));

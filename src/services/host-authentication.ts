import { createHash } from 'node:crypto';
import { DomainError } from '../errors.ts';
import { isText } from '../lib/text.ts';
import { withTimeout } from '../lib/timeout.ts';
import type { Logger } from '../log.ts';
import type { Authenticate, ExternalUser } from './authenticate.ts';
import type { ExternalToken } from './external-tokens.ts';
import { parseIdentityClaims } from './identity-claims.ts';
import { MAX_TIME_MS, MAX_TOKEN_ID_LENGTH, readMetadata } from './token-claims.ts';
import type { TokenMetadata } from './token-claims.ts';

export interface HostAuthenticationOptions {
  readonly authenticate: Authenticate;
  /** Distinguishes the subjects from those of other providers. */
  readonly issuer: string;
  readonly now: () => number;
  readonly log: Logger;
  /** Default: 10 s. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;
const DEFAULT_LIFETIME_MS = 3_600_000;
const JWT = /^eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+$/;

/** Creates the verifier of tokens that the host authenticates. It throws UNAVAILABLE if that fails. */
export function createHostVerifier({
  authenticate,
  issuer,
  now,
  log,
  timeoutMs = TIMEOUT_MS,
}: HostAuthenticationOptions): (token: string) => Promise<ExternalToken | undefined> {
  return async (token) => {
    try {
      const user = await withTimeout(timeoutMs, call(authenticate, token));
      return user == null ? undefined : toExternalToken(user, token, issuer, now());
    } catch (error) {
      log.error({ err: error }, 'authenticate failed');
      throw new DomainError('UNAVAILABLE', 'The identity provider is unavailable. Try again later.');
    }
  };
}

/** Also rejects if the function throws. */
async function call(authenticate: Authenticate, token: string): Promise<ExternalUser | null | undefined> {
  return authenticate(token);
}

function toExternalToken(
  user: ExternalUser,
  token: string,
  issuer: string,
  now: number,
): ExternalToken | undefined {
  const { subject, email, emailVerified = false, firstName, lastName, birthday } = user;
  const identity = parseIdentityClaims(issuer, {
    sub: subject,
    email,
    email_verified: emailVerified,
    given_name: firstName,
    family_name: lastName,
    birthdate: birthday,
  });
  if (identity === undefined) throw new Error('The subject must be a text of 1 to 255 characters.');
  const metadata = metadataOf(user, token, now);
  return metadata.expiresAt > now ? { kind: 'external', identity, ...metadata } : undefined;
}

function metadataOf(
  { expiresAt, issuedAt, tokenId }: ExternalUser,
  token: string,
  now: number,
): TokenMetadata {
  if (tokenId !== undefined && (tokenId === '' || tokenId.length > MAX_TOKEN_ID_LENGTH || !isText(tokenId)))
    throw new Error(`A tokenId must be a text of 1 to ${MAX_TOKEN_ID_LENGTH} characters.`);
  const times = {
    expiresAt: expiresAt?.getTime() ?? now + DEFAULT_LIFETIME_MS,
    issuedAt: issuedAt?.getTime() ?? null,
  };
  for (const [name, time] of Object.entries(times))
    if (time !== null && !Number.isFinite(time)) throw new Error(`${name} must be a valid date.`);
  return {
    tokenId: tokenId ?? hashToken(token),
    issuedAt: times.issuedAt,
    expiresAt: Math.min(times.expiresAt, MAX_TIME_MS),
  };
}

/** The signature of a JWT has several encodings: its id must not depend on it, or a revoked token could be used in another. */
const hashToken = (token: string): string =>
  JWT.test(token)
    ? readMetadata(token, {}).tokenId
    : `sha256:${createHash('sha256').update(token).digest('hex')}`;

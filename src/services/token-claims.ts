import { createHash } from 'node:crypto';
import { errors } from 'jose';
import { isText } from '../lib/text.ts';

// The claims of verified tokens of any issuer.

export type Claims = Readonly<Record<string, unknown>>;

export interface TokenMetadata {
  /** Identifies the token for revocation: its `jti`, or `sha256:<hex>` without one. */
  readonly tokenId: string;
  /** Milliseconds since 1970; null without `iat`. */
  readonly issuedAt: number | null;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

export const MAX_TOKEN_ID_LENGTH = 200;
/** Keeps times within four-digit years. */
export const MAX_TIME_MS = Date.UTC(9999, 0);
/** Tolerates an issuer's clock ahead of ours, for `nbf`. Not applied to `exp`: live sessions end at that second. */
export const CLOCK_TOLERANCE_SECONDS = 10;

/** Returns undefined for a token that is invalid or expired. */
export async function readVerifiedClaims(
  verify: (currentDate: Date) => Promise<{ payload: object }>,
  now: () => number,
): Promise<Claims | undefined> {
  try {
    const claims: Claims = { ...(await verify(new Date(now()))).payload };
    // Rejects expired tokens without a tolerance: jose applies `clockTolerance` to `exp`, too.
    return Number(claims['exp']) * 1000 > now() ? claims : undefined;
  } catch (error) {
    if (error instanceof errors.JOSEError && !(error instanceof errors.JWKSMultipleMatchingKeys))
      return undefined;
    throw error;
  }
}

export function readMetadata(token: string, claims: Claims): TokenMetadata {
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

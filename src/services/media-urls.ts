import { z } from 'zod';
import type { Session } from '../actor.ts';
import type { TokenCheck } from '../db/sessions.ts';
import type { DeviceId, MediaId, UserId } from '../ids.ts';
import { createClaimsSigner } from './signed-claims.ts';

export interface MediaUrlsOptions {
  /** The first one signs, all verify. */
  readonly secrets: readonly string[];
  readonly ttlSeconds: number;
  /** The time in milliseconds since 1970, by a clock that all nodes share. */
  readonly now: () => number;
}

/** URLs that let the holder of a session read a file without a header. */
export interface MediaUrls {
  /** Returns a path of this server with a signature. The same session receives the same one for a quarter of its lifetime. */
  sign(session: Session, id: MediaId): string;
  /** Returns the session that may use the signature for the file; undefined if it is invalid or has expired. */
  verify(id: MediaId, signature: string): TokenCheck | undefined;
}

/** Clients cache responses by URL, so a URL must not change with every query. */
const URLS_PER_LIFETIME = 4;

/** The signed values: the time of expiry, and the session. */
const claimsSchema = z.tuple([
  z.number(),
  z.enum(['user', 'device']),
  z.number(),
  z.string(),
  z.string().nullable(),
  z.number().nullable(),
  z.number().nullable(),
  z.boolean(),
]);

export function createMediaUrls({ secrets, ttlSeconds, now }: MediaUrlsOptions): MediaUrls {
  const signer = createClaimsSigner(secrets, 'parley media url 1');
  const ttlMs = ttlSeconds * 1000;
  const stepMs = ttlMs / URLS_PER_LIFETIME;
  return {
    sign({ actor, tokenId, issuedAt, expiresAt, family, generation, isExternal = false }, id) {
      // Not after the token: revocations of expired tokens are deleted.
      const urlExpiresAt = Math.min(Math.floor(now() / stepMs) * stepMs + ttlMs, expiresAt);
      const claims: z.infer<typeof claimsSchema> = [
        urlExpiresAt,
        actor.kind,
        actor.id,
        tokenId,
        family?.id ?? null,
        generation ?? null,
        issuedAt,
        isExternal,
      ];
      return `/media/${id}?signature=${signer.sign(String(id), claims)}`;
    },
    verify(id, signature) {
      const claims = signer.verify(String(id), signature);
      if (claims === undefined) return undefined;
      const [expiresAt, kind, actorId, tokenId, familyId, generation, issuedAt, isExternal] =
        claimsSchema.parse(claims);
      if (now() >= expiresAt) return undefined;
      return {
        actor: kind === 'user' ? { kind, id: actorId as UserId } : { kind, id: actorId as DeviceId },
        tokenId,
        issuedAt,
        family: familyId === null ? undefined : { id: familyId },
        generation: generation ?? undefined,
        isExternal,
      };
    },
  };
}

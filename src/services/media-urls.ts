import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { Session } from '../actor.ts';
import type { TokenCheck } from '../db/sessions.ts';
import type { DeviceId, MediaId, UserId } from '../ids.ts';

export interface MediaUrlsOptions {
  /** The first one signs, all verify. Keys are derived from them, so no URL passes for a token. */
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

const KEY_BYTES = 32;
/** Clients cache responses by URL, so a URL must not change with every query. */
const URLS_PER_LIFETIME = 4;

/** The signed values: the time of expiry, and the session. A release that changes it changes the purpose of the key. */
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
const KEY_PURPOSE = 'parley media url 1';

export function createMediaUrls({ secrets, ttlSeconds, now }: MediaUrlsOptions): MediaUrls {
  const keys = secrets.map((secret) => Buffer.from(hkdfSync('sha256', secret, '', KEY_PURPOSE, KEY_BYTES)));
  const [signingKey] = keys;
  if (signingKey === undefined) throw new Error('Signing URLs requires a secret');
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
      const encoded = Buffer.from(JSON.stringify(claims)).toString('base64url');
      return `/media/${id}?signature=${encoded}.${macOf(signingKey, id, encoded).toString('base64url')}`;
    },
    verify(id, signature) {
      const [encoded = '', mac = ''] = signature.split('.');
      const received = Buffer.from(mac, 'base64url');
      const isSigned = keys.some((key) => {
        const expected = macOf(key, id, encoded);
        return expected.length === received.length && timingSafeEqual(expected, received);
      });
      if (!isSigned) return undefined;
      const [expiresAt, kind, actorId, tokenId, familyId, generation, issuedAt, isExternal] =
        claimsSchema.parse(JSON.parse(Buffer.from(encoded, 'base64url').toString()));
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

const macOf = (key: Buffer, id: MediaId, encoded: string): Buffer =>
  createHmac('sha256', key).update(`${id}.${encoded}`).digest();

import { forbidden } from '../errors.ts';
import type { ActorRef } from '../events/event.ts';
import type { UserId } from '../ids.ts';

/** Who is calling: a user or a device. */
export type Actor = ActorRef;

/** What a verified token says, for as long as it is valid. */
export interface Session {
  readonly actor: Actor;
  /** Names the token, for its revocation: its `jti`, or a hash of it. */
  readonly tokenId: string;
  /** When it was issued, in milliseconds since 1970; null when it does not say. */
  readonly issuedAt: number | null;
  /** When the token expires, in milliseconds since 1970. */
  readonly expiresAt: number;
}

/** The user who is calling. Throws FORBIDDEN for a device. */
export function requireUser(actor: Actor): UserId {
  if (actor.kind === 'user') return actor.id;
  throw forbidden('A device may not do this.');
}

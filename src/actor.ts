import { forbidden } from './errors.ts';
import type { DeviceId, UserId } from './ids.ts';

export type ActorKind = 'user' | 'device';

/** A user or a device, by id. */
export type ActorRef =
  { readonly kind: 'user'; readonly id: UserId } | { readonly kind: 'device'; readonly id: DeviceId };

/** The session of a verified token. */
export interface Session {
  readonly actor: ActorRef;
  /** Identifies the token for revocation: its `jti`, or a hash of the token. */
  readonly tokenId: string;
  /** Issue time in milliseconds since 1970; null without `iat`. */
  readonly issuedAt: number | null;
  /** Expiry time in milliseconds since 1970. */
  readonly expiresAt: number;
  /** The login from which the token was refreshed; undefined for tokens of older versions and of identity providers. */
  readonly family?: SessionFamily | undefined;
  /** Number of times that all sessions of the account had been ended when it logged in; undefined as above. */
  readonly generation?: number | undefined;
  /** Whether an identity provider issued the token. */
  readonly isExternal?: boolean | undefined;
}

/** A login and the tokens that were refreshed from it. */
export interface SessionFamily {
  readonly id: string;
  /** Absolute end in milliseconds since 1970: no token of the family is valid longer. */
  readonly endsAt: number;
}

/** Returns the id of a user. Throws FORBIDDEN for a device. */
export function requireUser(actor: ActorRef): UserId {
  if (actor.kind === 'user') return actor.id;
  throw forbidden('A device may not do this.');
}

export const sameActor = (a: ActorRef, b: ActorRef): boolean => a.kind === b.kind && a.id === b.id;

/** An actor as a string, for keys and tables: `user:7` or `device:4`. */
export type ActorKey = `${ActorKind}:${number}`;
export const actorKey = (actor: ActorRef): ActorKey => `${actor.kind}:${actor.id}`;

/** Returns the key of an account; undefined without one. */
export const accountKey = (actor: ActorRef | null | undefined): ActorKey | undefined =>
  actor == null ? undefined : actorKey(actor);

/** The payer of an operation: its account, or without a valid token the client's address and connection. */
export interface Payer {
  /** Undefined for an anonymous client. */
  readonly account: ActorRef | undefined;
  readonly address: string;
  /** The connection of an anonymous client; undefined where it has none of its own. */
  readonly connection: string | undefined;
  /** Under which its work is queued and counted: the account's key, or the address. */
  readonly key: string;
}

export const payerOf = (session: Session | null, address: string, connection?: string): Payer =>
  session === null
    ? { account: undefined, address, connection, key: `address:${address}` }
    : { account: session.actor, address, connection: undefined, key: actorKey(session.actor) };

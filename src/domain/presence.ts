import type { Db } from '../db/database.ts';
import type { LeaseKind } from '../db/tables.ts';
import type { Bus } from '../events/bus.ts';
import type { EphemeralStream } from '../events/ephemeral.ts';
import type { ActorKey, ActorRef, ActorView } from '../events/event.ts';
import type { CircleId } from '../ids.ts';
import type { Logger } from '../log.ts';
import type { Session } from './actor.ts';
import type { Deps } from './deps.ts';

/** One live authenticated connection of an actor. */
export interface Lease {
  /** Grows with every authentication anywhere, so that the newest connection has the greatest. */
  readonly leaseId: number;
  /** Gives it back; a second call does nothing. */
  close(): Promise<void>;
}

/** Who has a live connection, on any node. */
export interface Presence extends AsyncDisposable {
  /** Registers a connection. When this resolves the actor is online for everybody who asks. */
  open(kind: LeaseKind, actor: ActorRef): Promise<Lease>;
  /** Those of the actors who are online. Inside a transaction pass it, as the embedded database has one connection. */
  isOnline(actors: readonly ActorRef[], db?: Db): Promise<ReadonlySet<ActorKey>>;
  /** The lease of the actor's most recently authenticated legacy connection; null when there is none. */
  newestLegacyLease(actor: ActorRef, db?: Db): Promise<number | null>;
  /** Whether the actor has a `signals` subscription. */
  hasSignals(actor: ActorRef, db?: Db): Promise<boolean>;
}

export interface PresenceOptions {
  readonly db: Db;
  readonly bus: Bus;
  readonly log: Logger;
  /** How long nobody is told that an actor has left, in case it comes back. */
  readonly graceMs: number;
  /** Names this process among the nodes; another one at every start. */
  readonly nodeId: string;
  /** Whether no other process uses the database: then whoever is registered at start has left. */
  readonly alone: boolean;
}

export async function createPresence(options: PresenceOptions): Promise<Presence> {
  throw new Error(`not written: ${options.nodeId}`);
}

/** Who of a circle is online, or no longer. */
export interface PresenceChange {
  readonly actor: ActorView;
  readonly online: boolean;
}

/**
 * Opens a reader of who is online in a circle: first one item for each actor who is, then every change. Only an
 * actor's newest change waits for a slow reader.
 */
export async function openPresence(
  deps: Deps,
  session: Session,
  input: { readonly circleId: CircleId },
  signal?: AbortSignal,
): Promise<EphemeralStream<PresenceChange>> {
  throw new Error(`not written: ${String([deps, session, input, signal])}`);
}

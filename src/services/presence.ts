import type { Db } from '../db/database.ts';
import * as rows from '../db/presence.ts';
import type { LeaseRow } from '../db/presence.ts';
import type { LeaseKind } from '../db/tables.ts';
import type { Bus, Notice } from '../events/bus.ts';
import { circleTopic } from '../events/event.ts';
import { createBatcher } from '../lib/batcher.ts';
import { createLeaseExpiry } from './lease-expiry.ts';
import type { LeaseExpiryOptions } from './lease-expiry.ts';
import { startHeartbeat } from './node-heartbeat.ts';
import type { HeartbeatOptions } from './node-heartbeat.ts';
import type { ActorKey, ActorRef } from '../actor.ts';
import { actorKey } from '../actor.ts';

/** More would keep the embedded database, and with it the event loop, for long. */
const MAX_TOGETHER = 200;

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

export interface PresenceOptions extends HeartbeatOptions, LeaseExpiryOptions {
  readonly bus: Bus;
  /** Called when an account has no connection to this node any more. */
  readonly onLastConnection?: (account: ActorRef) => void;
  /** Whether no other process uses the database: then whoever is registered at start has left. */
  readonly alone: boolean;
}

/**
 * Starts keeping account of this node's connections. Each coming and going of an actor, as seen over all nodes, is
 * announced once, in all its circles, by the node that brought it about. Actors of a node that died leave with it.
 */
export async function createPresence(options: PresenceOptions): Promise<Presence> {
  const { db, nodeId, graceMs, log } = options;
  await rows.addNode(db, nodeId, options.alone);
  const live = new Map<number, LeaseRow>();
  const connections = new Map<ActorKey, number>();
  const count = (account: ActorRef, change: 1 | -1): void => {
    const key = actorKey(account);
    const left = (connections.get(key) ?? 0) + change;
    if (left > 0) return void connections.set(key, left);
    connections.delete(key);
    options.onLastConnection?.(account);
  };
  const announce = createAnnouncer(options);
  const endings = createLeaseExpiry(options, (gone) => announce(gone, false));
  const restore = async (): Promise<void> => {
    await announce(await rows.restoreNode(db, nodeId, [...live.values()]), true);
  };
  const heartbeat = startHeartbeat(options, { restore, depart: (gone) => announce(gone, false) });

  const insert = async (asked: readonly Omit<LeaseRow, 'id'>[]) => {
    const added = await rows.addLeases(db, nodeId, asked);
    if (added !== undefined) return added;
    await restore();
    return rows.addLeases(db, nodeId, asked);
  };
  /** Those that come together are added together. */
  const arrivals = createBatcher<Omit<LeaseRow, 'id'>, LeaseRow>(
    async (asked) => {
      const added = await insert(asked);
      if (added === undefined) throw new Error('The node could not be registered');
      const leases = asked.map((one, place) => ({ ...one, id: added[place]?.id ?? NaN }));
      for (const lease of leases) {
        live.set(lease.id, lease);
        count(lease.account, 1);
      }
      const cameOnline = asked.filter((_, place) => added[place]?.cameOnline).map(({ account }) => account);
      await announce([...new Map(cameOnline.map((account) => [actorKey(account), account])).values()], true);
      return leases;
    },
    { maxBatchSize: MAX_TOGETHER },
  );

  return {
    async open(kind, account) {
      const lease = await arrivals.load({ kind, account });
      return {
        leaseId: lease.id,
        close: async () => {
          if (!live.delete(lease.id)) return;
          count(account, -1);
          await endings.add(lease);
        },
      };
    },
    async isOnline(actors, from = db) {
      return new Set((await rows.findOnline(from, actors)).map(actorKey));
    },
    newestLegacyLease: async (actor, from = db) => (await rows.findReach(from, actor)).legacyLease,
    hasSignals: async (actor, from = db) => (await rows.findReach(from, actor)).signals,
    async [Symbol.asyncDispose]() {
      await Promise.all([heartbeat.stop(), endings.stop()]);
      await rows.retireNode(db, nodeId, graceMs).catch((error: unknown) => {
        log.warn({ err: error }, 'could not say that this node stops; the others will notice');
      });
    },
  };
}

/**
 * Tells every circle of the accounts. They may have been removed since, or gone the other way, which another node may
 * have told already: then nobody is told.
 */
function createAnnouncer({ db, bus, log }: PresenceOptions) {
  return async (accounts: readonly ActorRef[], online: boolean): Promise<void> => {
    if (accounts.length === 0) return;
    try {
      const audiences = await rows.findCirclesOfActors(db, accounts);
      bus.publish(
        audiences.flatMap(({ actor, circleIds }) =>
          (actor.online === online ? circleIds : []).map((id): Notice => {
            const ephemeral = { type: 'presence', topic: circleTopic(id), actor, online } as const;
            return { kind: 'ephemeral', ephemeral };
          }),
        ),
      );
    } catch (error) {
      log.warn({ err: error }, 'could not announce who came or left');
    }
  };
}

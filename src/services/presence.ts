import { actorKey } from '../actor.ts';
import type { ActorKey, ActorRef } from '../actor.ts';
import type { Db } from '../db/database.ts';
import * as leaseRows from '../db/leases.ts';
import type { LeaseRow } from '../db/leases.ts';
import { findActorsWithCircles, findOnline } from '../db/presence.ts';
import type { LeaseKind } from '../db/tables.ts';
import type { Bus, Notice } from '../events/bus.ts';
import { circleTopic } from '../events/event.ts';
import { createBatcher } from '../lib/batcher.ts';
import { createLeaseExpiry } from './lease-expiry.ts';
import type { LeaseExpiryOptions } from './lease-expiry.ts';
import { startHeartbeat } from './node-heartbeat.ts';
import type { HeartbeatOptions } from './node-heartbeat.ts';

/** Larger batches would block the embedded database, and with it the event loop. */
const MAX_BATCH_SIZE = 200;

/** A live authenticated connection of an actor, as a row in the database. */
export interface Lease {
  /** Increases with every authentication in the cluster: an actor's newest connection has the greatest id. */
  readonly leaseId: number;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Tracks which actors are online, on any node: those with a lease, or within the grace period after their last. */
export interface Presence extends AsyncDisposable {
  /** Registers a connection. Once it resolves, every node sees the actor online. */
  open(kind: LeaseKind, actor: ActorRef): Promise<Lease>;
  /** Returns the actors who are online. Pass `db` inside a transaction: the embedded database has one connection. */
  isOnline(actors: readonly ActorRef[], db?: Db): Promise<ReadonlySet<ActorKey>>;
  /** Returns the lease of the actor's most recently authenticated legacy connection, or null. */
  newestLegacyLease(actor: ActorRef, db?: Db): Promise<number | null>;
}

export interface PresenceOptions extends HeartbeatOptions, LeaseExpiryOptions {
  readonly bus: Bus;
  /** Called when an actor's last connection to this node closes. */
  readonly onLastConnection?: (actor: ActorRef) => void;
  /** No other process uses the database: all nodes and leases found at startup are stale, and removed. */
  readonly isOnlyProcess: boolean;
}

/**
 * Registers this node and starts its heartbeat. A cluster-wide change of an actor's presence is published once, to
 * each of its circles, by the node that caused it; the actors of a dead node go offline.
 */
export async function createPresence(options: PresenceOptions): Promise<Presence> {
  const { db, nodeId, graceMs, log } = options;
  await leaseRows.addNode(db, nodeId, options.isOnlyProcess);
  const openLeases = new Map<number, LeaseRow>();
  const connectionCounts = new Map<ActorKey, number>();
  const addToCount = (actor: ActorRef, change: 1 | -1): void => {
    const key = actorKey(actor);
    const count = (connectionCounts.get(key) ?? 0) + change;
    if (count > 0) return void connectionCounts.set(key, count);
    connectionCounts.delete(key);
    options.onLastConnection?.(actor);
  };
  const publish = createPublisher(options);
  const publishOffline = (actors: readonly ActorRef[]): Promise<void> => publish(actors, false);
  const leaseExpiry = createLeaseExpiry(options, publishOffline);
  const registerAgain = async (): Promise<void> => {
    await publish(await leaseRows.restoreNode(db, nodeId, [...openLeases.values()]), true);
  };
  const heartbeat = startHeartbeat(options, { onExpired: registerAgain, onNodesDied: publishOffline });

  const insertLeases = async (requests: readonly Omit<LeaseRow, 'id'>[]) => {
    const addedLeases = await leaseRows.addLeases(db, nodeId, requests);
    if (addedLeases !== undefined) return addedLeases;
    // Declared dead by another node since the last beat.
    await registerAgain();
    return leaseRows.addLeases(db, nodeId, requests);
  };
  const leaseBatcher = createBatcher<Omit<LeaseRow, 'id'>, LeaseRow>(
    async (requests) => {
      const addedLeases = await insertLeases(requests);
      if (addedLeases === undefined) throw new Error('The node could not be registered');
      const leases = requests.map((request, index) => ({ ...request, id: addedLeases[index]?.id ?? NaN }));
      for (const lease of leases) {
        openLeases.set(lease.id, lease);
        addToCount(lease.actor, 1);
      }
      const cameOnline = requests
        .filter((_, index) => addedLeases[index]?.cameOnline)
        .map(({ actor }) => actor);
      await publish([...new Map(cameOnline.map((actor) => [actorKey(actor), actor])).values()], true);
      return leases;
    },
    { maxBatchSize: MAX_BATCH_SIZE },
  );

  return {
    async open(kind, actor) {
      const lease = await leaseBatcher.submit({ kind, actor });
      return {
        leaseId: lease.id,
        close: async () => {
          if (!openLeases.delete(lease.id)) return;
          addToCount(actor, -1);
          await leaseExpiry.end(lease);
        },
      };
    },
    async isOnline(actors, from = db) {
      return new Set((await findOnline(from, actors)).map(actorKey));
    },
    newestLegacyLease: async (actor, from = db) =>
      (await leaseRows.findReachability(from, actor)).legacyLease,
    async [Symbol.asyncDispose]() {
      await Promise.all([heartbeat.stop(), leaseExpiry.stop()]);
      await leaseRows.retireNode(db, nodeId, graceMs).catch((error: unknown) => {
        // The other nodes remove this one after 15 s without a heartbeat.
        log.warn({ err: error }, 'unregistering the node failed');
      });
    },
  };
}

/**
 * Publishes presence to every circle of the actors. Reads their current state: skips actors that have been deleted
 * since, or have changed back (which the node that changed them publishes).
 */
function createPublisher({ db, bus, log }: PresenceOptions) {
  return async (actors: readonly ActorRef[], online: boolean): Promise<void> => {
    if (actors.length === 0) return;
    try {
      const found = await findActorsWithCircles(db, actors);
      bus.publish(
        found.flatMap(({ actor, circleIds }) =>
          (actor.online === online ? circleIds : []).map((id): Notice => {
            const ephemeral = { type: 'presence', topic: circleTopic(id), actor, online } as const;
            return { kind: 'ephemeral', ephemeral };
          }),
        ),
      );
    } catch (error) {
      log.warn({ err: error }, 'publishing presence failed');
    }
  };
}

import { actorKey } from '../actor.ts';
import type { ActorKey, ActorRef } from '../actor.ts';
import type { Db } from '../db/database.ts';
import * as leaseRows from '../db/leases.ts';
import type { LeaseRow } from '../db/leases.ts';
import type { LiveNode } from '../db/live-nodes.ts';
import * as nodeRows from '../db/nodes.ts';
import { findActorsWithCircles, findOnline } from '../db/presence.ts';
import type { PresenceChanges } from '../db/presence.ts';
import type { LeaseKind } from '../db/tables.ts';
import type { Bus, Notice } from '../events/bus.ts';
import { circleTopic } from '../events/event.ts';
import { createBatcher } from '../lib/batcher.ts';
import { VERSION } from '../version.ts';
import { createLeaseExpiry } from './lease-expiry.ts';
import type { LeaseExpiryOptions } from './lease-expiry.ts';
import { startHeartbeat } from './node-heartbeat.ts';
import type { HeartbeatOptions } from './node-heartbeat.ts';
import { PresenceUpdates } from './presence-updates.ts';

/** Larger batches would block the embedded database, and with it the event loop. */
const MAX_BATCH_SIZE = 200;
/** Extra batches while one is slow: it may wait for the presence of an actor that is locked. */
const EXTRA_WHEN_SLOW = 1;
const SLOW_AFTER_MS = 100;

interface LeaseRequest extends Omit<LeaseRow, 'id'> {
  /** Number of earlier requests. */
  readonly position: number;
}

/** A live authenticated connection of an actor, as a row in the database. */
export interface Lease {
  /** Increases with every authentication in the cluster: an actor's newest connection has the greatest id. */
  readonly leaseId: number;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Tracks which actors are online, on any node: those with a lease, or within the grace period after their last. */
export interface Presence extends AsyncDisposable {
  /**
   * Registers a connection. Once it resolves, every node sees the actor online; while another session has locked its
   * presence, it can connect and be called, and is online later.
   */
  open(kind: LeaseKind, actor: ActorRef): Promise<Lease>;
  /** Returns the actors who are online. Pass `db` inside a transaction: the embedded database has one connection. */
  isOnline(actors: readonly ActorRef[], db?: Db): Promise<ReadonlySet<ActorKey>>;
  /** Returns the lease of the actor's most recently authenticated legacy connection, or null. */
  newestLegacyLease(actor: ActorRef, db?: Db): Promise<number | null>;
}

export interface PresenceOptions extends HeartbeatOptions, LeaseExpiryOptions {
  readonly bus: Bus;
  readonly nodeName: string | undefined;
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
  const node: LiveNode = { id: nodeId, name: options.nodeName ?? null, version: VERSION };
  await nodeRows.addNode(db, node, options.isOnlyProcess);
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
  const updates = new PresenceUpdates(options, publish);
  const leaseExpiry = createLeaseExpiry(options, updates);

  const restoreNode = async (): Promise<void> => {
    const leases = [...openLeases.values()];
    await nodeRows.restoreNode(db, node, leases);
    await updates.update(leases.map(({ actor }) => actor));
    const closed = leases.filter((lease) => !openLeases.has(lease.id));
    await Promise.all(closed.map((lease) => leaseExpiry.end(lease)));
  };
  let registration: Promise<void> | undefined;
  /** Concurrent calls share one registration. */
  const registerAgain = (): Promise<void> =>
    (registration ??= restoreNode().finally(() => (registration = undefined)));
  const heartbeat = startHeartbeat(options, { onExpired: registerAgain, onNodesDied: publish });

  const addLeases = (requests: readonly LeaseRequest[]) =>
    leaseRows.addLeases(
      db,
      nodeId,
      requests.map((request) => ({ ...request, skipsPresence: updates.isPending(request.actor) })),
    );
  const insertLeases = async (requests: readonly LeaseRequest[]) => {
    const addedLeases = await addLeases(requests);
    if (addedLeases !== undefined) return addedLeases;
    // Declared dead by another node since the last beat.
    await registerAgain();
    return addLeases(requests);
  };
  let requestCount = 0;
  const leaseBatcher = createBatcher<LeaseRequest, LeaseRow>(
    async (batch) => {
      // A batch is ordered by actor.
      const requests = batch.toSorted((a, b) => a.position - b.position);
      const addedLeases = await insertLeases(requests);
      if (addedLeases === undefined) throw new Error('The node could not be registered');
      const leases = new Map<LeaseRequest, LeaseRow>();
      for (const [index, request] of requests.entries()) {
        const { kind, actor } = request;
        const lease = { id: addedLeases[index]?.id ?? NaN, kind, actor };
        leases.set(request, lease);
        openLeases.set(lease.id, lease);
        addToCount(actor, 1);
      }
      const actorsWhere = (flag: 'cameOnline' | 'skippedPresence'): ActorRef[] =>
        requests.filter((_, index) => addedLeases[index]?.[flag]).map(({ actor }) => actor);
      updates.defer(actorsWhere('skippedPresence'));
      await publish({ online: actorsWhere('cameOnline'), offline: [] });
      return batch.map((request) => leases.get(request) ?? missing());
    },
    {
      maxBatchSize: MAX_BATCH_SIZE,
      // An actor's newest connection has the greatest id.
      partitionBy: ({ actor }) => actorKey(actor),
      extraWhenSlow: EXTRA_WHEN_SLOW,
      slowAfterMs: SLOW_AFTER_MS,
    },
  );

  const closeLease = async (lease: LeaseRow): Promise<void> => {
    if (!openLeases.delete(lease.id)) return;
    addToCount(lease.actor, -1);
    await leaseExpiry.end(lease);
  };

  return {
    async open(kind, actor) {
      const lease = await leaseBatcher.submit({ kind, actor, position: (requestCount += 1) });
      return new OpenLease(lease, closeLease);
    },
    async isOnline(actors, from = db) {
      return new Set((await findOnline(from, actors)).map(actorKey));
    },
    newestLegacyLease: async (actor, from = db) =>
      (await leaseRows.findReachability(from, actor)).legacyLease,
    async [Symbol.asyncDispose]() {
      await Promise.all([heartbeat.stop(), leaseExpiry.stop()]);
      await updates.stop();
      await nodeRows.retireNode(db, nodeId, graceMs).catch((error: unknown) => {
        // The other nodes remove this one after 15 s without a heartbeat.
        log.warn({ err: error }, 'unregistering the node failed');
      });
    },
  };
}

/** A class, because every connection holds one: closures would take several times the memory. */
class OpenLease implements Lease {
  readonly #row: LeaseRow;
  readonly #close: (row: LeaseRow) => Promise<void>;

  constructor(row: LeaseRow, close: (row: LeaseRow) => Promise<void>) {
    this.#row = row;
    this.#close = close;
  }

  get leaseId(): number {
    return this.#row.id;
  }

  close(): Promise<void> {
    return this.#close(this.#row);
  }
}

function missing(): never {
  throw new Error('A request has no lease');
}

/**
 * Publishes presence to every circle of the actors. Reads their current state: skips actors that have been deleted
 * since, or have changed back (which the node that changed them publishes). Never throws.
 */
function createPublisher({ db, bus, log }: PresenceOptions) {
  const publish = async (actors: readonly ActorRef[], online: boolean): Promise<void> => {
    if (actors.length === 0) return;
    const distinct = new Map(actors.map((actor) => [actorKey(actor), actor]));
    try {
      const found = await findActorsWithCircles(db, [...distinct.values()]);
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
  return async ({ online, offline }: PresenceChanges): Promise<void> => {
    await publish(offline, false);
    await publish(online, true);
  };
}

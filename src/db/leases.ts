import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import { actorKey } from '../actor.ts';
import type { ActorKind, ActorRef } from '../actor.ts';
import { isLockTimeout } from '../errors.ts';
import { toActorRef } from './actors.ts';
import type { Db, Tx } from './database.ts';
import { lockPresence, LOCK_WAIT_MS, transactPastLocks, unnestActors, updatePresence } from './presence.ts';
import type { LockMode, PresenceChanges } from './presence.ts';
import type { LeaseKind } from './tables.ts';

/** A node without a heartbeat for this long is dead, and so are its connections. */
export const DEAD_AFTER = sql`interval '15 seconds'`;
/** The last heartbeat of a node that was declared dead, while the rows of some of its leases are locked. */
export const DECLARED_DEAD = sql`timestamptz 'epoch'`;
/** The last heartbeat of a row of `nodes`. While another program locks the row, the node records it in `heartbeats`. */
export const LAST_SEEN = sql<Date>`
  greatest(nodes.seen_at, (select max(seen_at) from heartbeats where heartbeats.node_id = nodes.id))
`;

/** Longest wait of an insertion for an actor's presence that is being inserted. */
const PAST_LOCKS_WAIT_MS = 2_000;

export interface LeaseRow {
  readonly id: number;
  readonly kind: LeaseKind;
  readonly actor: ActorRef;
}

export interface NewLease {
  readonly kind: LeaseKind;
  readonly actor: ActorRef;
  /** Whether to leave the actor's presence as it is: its row is known to be locked. */
  readonly skipsPresence: boolean;
}

export interface AddedLease {
  readonly id: number;
  /** Whether the actor was offline, and is online now. */
  readonly cameOnline: boolean;
  /** Whether the actor's presence was left as it is. */
  readonly skippedPresence: boolean;
}

/**
 * Adds leases with ascending ids in the given order, and sets their actors online. Undefined when the node is not
 * registered. Locks the rows in `presence`, so that a concurrent `updatePresence` waits and sees the leases; if some are
 * not free within `LOCK_WAIT_MS`, leaves the presence of their actors as it is.
 */
export async function addLeases(
  db: Db,
  nodeId: string,
  leases: readonly NewLease[],
): Promise<readonly AddedLease[] | undefined> {
  const added = await insertLeases(db, nodeId, leases, LOCK_WAIT_MS).catch((error: unknown) => {
    if (isLockTimeout(error)) return addPastLocks(db, nodeId, leases);
    throw error;
  });
  return added.length === leases.length ? added : undefined;
}

const addPastLocks = (db: Db, nodeId: string, leases: readonly NewLease[]): Promise<AddedLease[]> =>
  db.transaction().execute(async (tx) => {
    const actors = leases.filter((lease) => !lease.skipsPresence).map(({ actor }) => actor);
    const { locked } = await lockPresence(tx, actors, 'skip');
    const keys = new Set(locked.map(actorKey));
    const past = leases.map((lease) => ({
      ...lease,
      skipsPresence: lease.skipsPresence || keys.has(actorKey(lease.actor)),
    }));
    return insertLeases(tx, nodeId, past, PAST_LOCKS_WAIT_MS);
  });

/** Inserts nothing if the node was declared dead. */
async function insertLeases(
  db: Db,
  nodeId: string,
  leases: readonly NewLease[],
  waitMs: number,
): Promise<AddedLease[]> {
  const { rows } = await sql<AddedLease>`
    with wait as materialized (
      select set_config('lock_timeout', ${String(waitMs)}, true) as ms
      from nodes where id = ${nodeId} and seen_at > ${DECLARED_DEAD}
    ), input as (
      select nextval(pg_get_serial_sequence('leases', 'id')) as id, kind, actor_kind, actor_id, skips_presence
      from wait, unnest(
        ${leases.map((lease) => lease.kind)}::text[],
        ${leases.map((lease) => lease.actor.kind)}::text[],
        ${leases.map((lease) => lease.actor.id)}::int[],
        ${leases.map((lease) => lease.skipsPresence)}::bool[]
      ) as input (kind, actor_kind, actor_id, skips_presence)
      where wait.ms is not null
    ), lease as (
      insert into leases (id, node_id, kind, actor_kind, actor_id)
      overriding system value
      select id, ${nodeId}, kind, actor_kind, actor_id from input
    ), came_online as (
      insert into presence (actor_kind, actor_id, online)
      select distinct actor_kind, actor_id, true from input where not skips_presence
      order by actor_kind, actor_id
      on conflict (actor_kind, actor_id) do update set online = true where not presence.online
      returning actor_kind, actor_id
    )
    select id, came_online.actor_id is not null as "cameOnline", skips_presence as "skippedPresence"
    from input left join came_online using (actor_kind, actor_id)
    order by id
  `.execute(db);
  return rows;
}

/** Marks the leases of closed connections. Their actors stay online until `removeLeases`. Skips rows that are locked. */
export const closeLeases = (db: Db, ids: readonly number[]): Promise<void> =>
  closeFreeLeases(db, sql`id = ${anyOfLeases(ids)}`);

/** Marks leases as closed. Skips rows that are locked. */
export const closeFreeLeases = async (db: Db, condition: RawBuilder<unknown>): Promise<void> => {
  await sql`
    update leases set closed_at = clock_timestamp()
    where id in (select id from leases where ${condition} for update skip locked)
  `.execute(db);
};

export interface Removal {
  readonly leaseIds: readonly number[];
  /** Those of the leases, and any others. */
  readonly actors: readonly ActorRef[];
}

/** Changes of presence, without those of actors for whom rows were locked. */
export interface RemovalResult extends PresenceChanges {
  readonly locked: readonly ActorRef[];
}

/**
 * Removes leases, and sets each actor online or offline by whether it has another. If rows are not free within
 * `LOCK_WAIT_MS`, leaves out their actors, with their leases.
 */
export const removeLeases = (db: Db, removal: Removal): Promise<RemovalResult> =>
  transactPastLocks(db, (tx, mode) => removeInTransaction(tx, removal, mode));

/** As `removeLeases`, but without waiting. */
export const removeFreeLeases = (db: Db, removal: Removal): Promise<RemovalResult> =>
  db.transaction().execute((tx) => removeInTransaction(tx, removal, 'skip'));

async function removeInTransaction(
  tx: Tx,
  { leaseIds, actors }: Removal,
  mode: LockMode,
): Promise<RemovalResult> {
  const { free, locked } = await lockPresence(tx, actors, mode);
  const own = sql`id = ${anyOfLeases(leaseIds)}`;
  if (mode === 'wait') {
    await sql`delete from leases where ${own}`.execute(tx);
    return { ...(await updatePresence(tx, free)), locked };
  }
  await deleteFreeLeases(tx, own, locked);
  const { rows } = await sql<ActorColumns>`
    select distinct actor_kind, actor_id from leases where ${own}
  `.execute(tx);
  return { ...(await updatePresence(tx, free)), locked: [...locked, ...rows.map(toActorRef)] };
}

/** Removes leases, but not those of the locked actors. Skips rows that are locked. */
export const deleteFreeLeases = async (
  tx: Tx,
  condition: RawBuilder<unknown>,
  locked: readonly ActorRef[],
): Promise<void> => {
  await sql`
    delete from leases where id in (
      select id from leases
      where ${condition} and (actor_kind, actor_id) not in (select actor_kind, actor_id from ${unnestActors(locked)})
      for update skip locked
    )
  `.execute(tx);
};

interface ActorColumns {
  readonly actorKind: ActorKind;
  readonly actorId: number;
}

/** How an actor can be called. */
export interface Reachability {
  /** Lease of its newest legacy connection; null without one. */
  readonly legacyLease: number | null;
  /** Whether it subscribes to signals. */
  readonly signals: boolean;
  /** The nodes of this connection and of these subscriptions. */
  readonly nodeIds: readonly string[];
}

export async function findReachability(db: Db, actor: ActorRef): Promise<Reachability> {
  const { rows } = await sql<Reachability>`
    select max(legacy_lease) as legacy_lease, coalesce(bool_or(kind = 'signals'), false) as signals,
      coalesce(array_agg(distinct node_id) filter (where kind = 'signals' or id = legacy_lease), '{}') as node_ids
    from (
      select id, kind, node_id, max(id) filter (where kind = 'legacy') over () as legacy_lease
      from (${liveLeases(actor)}) as live
    ) as reachable
  `.execute(db);
  return rows[0] ?? { legacyLease: null, signals: false, nodeIds: [] };
}

/** Returns the nodes that have connections of the actor. */
export async function findNodes(db: Db, actor: ActorRef): Promise<string[]> {
  const { rows } = await sql<{ nodeId: string }>`
    select distinct node_id from (${liveLeases(actor)}) as live
  `.execute(db);
  return rows.map(({ nodeId }) => nodeId);
}

/** Returns the number of open connections of the actor. */
export async function countConnections(db: Db, actor: ActorRef): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*) from (${liveLeases(actor)}) as live where kind <> 'signals'
  `.execute(db);
  return rows[0]?.count ?? 0;
}

/** The leases of open connections on nodes that are alive. */
const liveLeases = ({ kind, id }: ActorRef) => sql`
  select leases.id, leases.kind, leases.node_id
  from leases join nodes on nodes.id = leases.node_id
  where actor_kind = ${kind} and actor_id = ${id} and closed_at is null
    and ${LAST_SEEN} >= least(clock_timestamp(), (select max(seen_at) from nodes)) - ${DEAD_AFTER}
`;

const anyOfLeases = (ids: readonly number[]) => sql<number>`any(${ids}::bigint[])`;

import { sql } from 'kysely';
import type { ActorKind, ActorRef } from '../actor.ts';
import { toActorRef } from './actors.ts';
import type { Db, Tx } from './database.ts';
import { now } from './sql.ts';
import type { LeaseKind } from './tables.ts';

/** A node without a heartbeat for this long is dead, and so are its connections. */
const DEAD_AFTER = sql`interval '15 seconds'`;
/** SQLSTATEs when the node's row is missing (foreign key) or is being deleted concurrently (deadlock). */
const NODE_MISSING_SQLSTATES = ['23503', '40P01'];

/** The `log_version` of nodes of this version. */
const LOG_VERSION = 1;

export interface LeaseRow {
  readonly id: number;
  readonly kind: LeaseKind;
  readonly actor: ActorRef;
}

/** Registers a node. If no other process uses the database, removes former nodes, and sets all actors offline. */
export async function addNode(db: Db, nodeId: string, isOnlyProcess: boolean): Promise<void> {
  await db.transaction().execute(async (tx) => {
    if (isOnlyProcess) {
      await tx.deleteFrom('nodes').execute();
      await tx.updateTable('presence').set({ online: false }).where('online', '=', true).execute();
    }
    await tx.insertInto('nodes').values({ id: nodeId, seenAt: now, logVersion: LOG_VERSION }).execute();
  });
}

/**
 * Records a heartbeat. Returns the milliseconds since the one before, by the database's clock. Undefined when the node
 * was declared dead and removed with its leases.
 */
export async function touchNode(db: Db, nodeId: string): Promise<number | undefined> {
  const { rows } = await sql<{ elapsedMs: number }>`
    update nodes set seen_at = clock_timestamp()
    from (select id, seen_at from nodes where id = ${nodeId} for update) as former
    where nodes.id = former.id
    returning (extract(epoch from nodes.seen_at - former.seen_at) * 1000)::float8 as elapsed_ms
  `.execute(db);
  return rows[0]?.elapsedMs;
}

/** Whether a node runs that relies on the record of removed events in `topics`. */
export async function hasNodesOfOldLog(db: Db): Promise<boolean> {
  const { rows } = await sql`
    select from nodes where log_version < ${LOG_VERSION} and seen_at >= clock_timestamp() - ${DEAD_AFTER} limit 1
  `.execute(db);
  return rows.length > 0;
}

/** Closes the leases of a stopping node, and makes the others declare it dead after the grace period. */
export async function retireNode(db: Db, nodeId: string, graceMs: number): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx.updateTable('leases').set({ closedAt: now }).where('nodeId', '=', nodeId).execute();
    await sql`
      update nodes set seen_at = clock_timestamp() - ${DEAD_AFTER} + ${graceMs} * interval '1 millisecond'
      where id = ${nodeId}
    `.execute(tx);
  });
}

/**
 * Adds leases with ascending ids in the given order. `cameOnline` is set if the actor was offline. Undefined when the
 * node is not registered. Locks the rows in `presence`, so that a concurrent `markOffline` waits and sees the leases.
 */
export async function addLeases(
  db: Db,
  nodeId: string,
  leases: readonly Omit<LeaseRow, 'id'>[],
): Promise<readonly { readonly id: number; readonly cameOnline: boolean }[] | undefined> {
  try {
    const { rows } = await sql<{ id: number; cameOnline: boolean }>`
      with input as (
        select nextval(pg_get_serial_sequence('leases', 'id')) as id, kind, actor_kind, actor_id
        from unnest(
          ${leases.map((lease) => lease.kind)}::text[],
          ${leases.map((lease) => lease.actor.kind)}::text[],
          ${leases.map((lease) => lease.actor.id)}::int[]
        ) as input (kind, actor_kind, actor_id)
      ), lease as (
        insert into leases (id, node_id, kind, actor_kind, actor_id)
        overriding system value
        select id, ${nodeId}, kind, actor_kind, actor_id from input
      ), came_online as (
        insert into presence (actor_kind, actor_id, online)
        select distinct actor_kind, actor_id, true from input order by actor_kind, actor_id
        on conflict (actor_kind, actor_id) do update set online = true where not presence.online
        returning actor_kind, actor_id
      )
      select id, came_online.actor_id is not null as "cameOnline"
      from input left join came_online using (actor_kind, actor_id)
      order by id
    `.execute(db);
    return rows;
  } catch (error) {
    if (
      error instanceof Error &&
      'code' in error &&
      NODE_MISSING_SQLSTATES.some((code) => code === error.code)
    ) {
      return undefined;
    }
    throw error;
  }
}

/** Registers a node again that was declared dead, with its leases. Returns the actors that came online. */
export async function restoreNode(db: Db, nodeId: string, leases: readonly LeaseRow[]): Promise<ActorRef[]> {
  return db.transaction().execute(async (tx) => {
    await sql`
      insert into nodes (id, log_version) values (${nodeId}, ${LOG_VERSION})
      on conflict (id) do update set seen_at = clock_timestamp()
    `.execute(tx);
    await sql`
      insert into leases (id, node_id, kind, actor_kind, actor_id)
      overriding system value
      select id, ${nodeId}, kind, actor_kind, actor_id
      from unnest(
        ${leases.map((lease) => lease.id)}::bigint[],
        ${leases.map((lease) => lease.kind)}::text[],
        ${leases.map((lease) => lease.actor.kind)}::text[],
        ${leases.map((lease) => lease.actor.id)}::int[]
      ) as input (id, kind, actor_kind, actor_id)
      on conflict do nothing
    `.execute(tx);
    const { rows } = await sql<{ actorKind: ActorKind; actorId: number }>`
      insert into presence (actor_kind, actor_id, online)
      select distinct actor_kind, actor_id, true from leases where node_id = ${nodeId}
      order by actor_kind, actor_id
      on conflict (actor_kind, actor_id) do update set online = true where not presence.online
      returning actor_kind, actor_id
    `.execute(tx);
    return rows.map(toActorRef);
  });
}

/** Marks the leases of closed connections. Their actors stay online until `removeLeases`. */
export async function closeLeases(db: Db, ids: readonly number[]): Promise<void> {
  await db.updateTable('leases').set({ closedAt: now }).where('id', '=', anyOfLeases(ids)).execute();
}

/** Removes leases. Returns those of the given actors that went offline. */
export async function removeLeases(
  db: Db,
  ids: readonly number[],
  actors: readonly ActorRef[],
): Promise<ActorRef[]> {
  return db.transaction().execute(async (tx) => {
    await tx.deleteFrom('leases').where('id', '=', anyOfLeases(ids)).execute();
    return markOffline(tx, actors);
  });
}

/** Removes dead nodes. Returns the actors that went offline. */
export async function removeDeadNodes(db: Db, graceMs: number): Promise<ActorRef[]> {
  // A heartbeat in the future is from before the clock was set back: the node would count as alive until then.
  await sql`
    update nodes set seen_at = clock_timestamp()
    where seen_at > clock_timestamp() + ${graceMs} * interval '1 millisecond'
  `.execute(db);
  return db.transaction().execute(async (tx) => {
    const dead = await tx
      .selectFrom('nodes')
      .select('id')
      .where(sql<boolean>`seen_at < clock_timestamp() - ${DEAD_AFTER}`)
      .forUpdate()
      .skipLocked()
      .execute();
    if (dead.length === 0) return [];
    const ids = dead.map((node) => node.id);
    const { rows } = await sql<{ actorKind: ActorKind; actorId: number }>`
      select distinct actor_kind, actor_id from leases where node_id = ${anyOfNodes(ids)}
    `.execute(tx);
    await tx.deleteFrom('nodes').where('id', '=', anyOfNodes(ids)).execute();
    return markOffline(tx, rows.map(toActorRef));
  });
}

/**
 * Sets actors without a lease offline. Locks their rows first, in order, and checks the leases in a second
 * statement: its snapshot includes leases that a concurrent `addLeases`, which held the lock, has added.
 */
async function markOffline(tx: Tx, actors: readonly ActorRef[]): Promise<ActorRef[]> {
  if (actors.length === 0) return [];
  const input = sql`unnest(
    ${actors.map((actor) => actor.kind)}::text[], ${actors.map((actor) => actor.id)}::int[]
  ) as input (actor_kind, actor_id)`;
  await sql`
    select 1 from presence
    where (actor_kind, actor_id) in (select actor_kind, actor_id from ${input})
    order by actor_kind, actor_id
    for update
  `.execute(tx);
  const { rows } = await sql<{ actorKind: ActorKind; actorId: number }>`
    update presence set online = false
    where online and (actor_kind, actor_id) in (select actor_kind, actor_id from ${input})
      and not exists (
        select 1 from leases
        where leases.actor_kind = presence.actor_kind and leases.actor_id = presence.actor_id
      )
    returning actor_kind, actor_id
  `.execute(tx);
  return rows.map(toActorRef);
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
    and nodes.seen_at >= least(clock_timestamp(), (select max(seen_at) from nodes)) - ${DEAD_AFTER}
`;

const anyOfNodes = (ids: readonly string[]) => sql<string>`any(${ids}::text[])`;
const anyOfLeases = (ids: readonly number[]) => sql<number>`any(${ids}::bigint[])`;

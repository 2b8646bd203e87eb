import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { ActorKind } from '../actor.ts';
import { isLockTimeout } from '../errors.ts';
import { toActorRef } from './actors.ts';
import type { Db } from './database.ts';
import { closeFreeLeases, DEAD_AFTER, DECLARED_DEAD, deleteFreeLeases, LAST_SEEN } from './leases.ts';
import type { LeaseRow } from './leases.ts';
import { freeNode } from './live-nodes.ts';
import type { LiveNode } from './live-nodes.ts';
import { lockPresence, LOCK_WAIT_MS, transactPastLocks, updatePresence } from './presence.ts';
import type { PresenceChanges } from './presence.ts';
import { now } from './sql.ts';

/** The `log_version` of nodes of this version. */
const LOG_VERSION = 1;

/** Registers a node. If no other process uses the database, removes former nodes, and sets all actors offline. */
export async function addNode(db: Db, node: LiveNode, isOnlyProcess: boolean): Promise<void> {
  await db.transaction().execute(async (tx) => {
    if (isOnlyProcess) {
      await tx.deleteFrom('nodes').execute();
      await tx.updateTable('presence').set({ online: false }).where('online', '=', true).execute();
    }
    await tx
      .insertInto('nodes')
      .values({ ...node, seenAt: now, logVersion: LOG_VERSION })
      .execute();
  });
}

/**
 * Records a heartbeat, also while another program has locked the row of the node. Returns the milliseconds since the one
 * before, by the database's clock. Undefined when the node was declared dead: its leases are removed.
 */
export const touchNode = (db: Db, nodeId: string): Promise<number | undefined> =>
  touchRow(db, nodeId).catch((error: unknown) => {
    if (isLockTimeout(error)) return touchLockedNode(db, nodeId);
    throw error;
  });

async function touchRow(db: Db, nodeId: string): Promise<number | undefined> {
  const { rows } = await sql<Beat>`
    with wait as materialized (
      select set_config('lock_timeout', ${String(LOCK_WAIT_MS)}, true) as ms
    ), former as (
      select nodes.id, ${LAST_SEEN} as seen_at from wait, nodes
      where wait.ms is not null and nodes.id = ${nodeId} and nodes.seen_at > ${DECLARED_DEAD}
      for update of nodes
    ), removed as (
      delete from heartbeats where id in (${freeHeartbeats(nodeId)}) and exists (select from former)
    )
    update nodes set seen_at = clock_timestamp() from former where nodes.id = former.id
    returning ${milliseconds(sql`nodes.seen_at - former.seen_at`)} as elapsed_ms
  `.execute(db);
  return rows[0]?.elapsedMs;
}

async function touchLockedNode(db: Db, nodeId: string): Promise<number | undefined> {
  const { rows } = await sql<Beat>`
    with former as materialized (
      select id, ${LAST_SEEN} as seen_at from nodes where id = ${nodeId} and seen_at > ${DECLARED_DEAD}
    ), removed as (
      delete from heartbeats where id in (${freeHeartbeats(nodeId)})
    ), beat as (
      insert into heartbeats (node_id) select id from former returning seen_at
    )
    select ${milliseconds(sql`beat.seen_at - former.seen_at`)} as elapsed_ms from beat, former
  `.execute(db);
  return rows[0]?.elapsedMs;
}

interface Beat {
  readonly elapsedMs: number;
}

const milliseconds = (interval: RawBuilder<unknown>) => sql`(extract(epoch from ${interval}) * 1000)::float8`;

const freeHeartbeats = (nodeId: string | RawBuilder<string>) =>
  sql`select id from heartbeats where node_id = ${nodeId} for update skip locked`;

/** Whether a node runs that relies on the record of removed events in `topics`. */
export async function hasNodesOfOldLog(db: Db): Promise<boolean> {
  const { rows } = await sql`
    select from nodes where log_version < ${LOG_VERSION} and seen_at >= clock_timestamp() - ${DEAD_AFTER} limit 1
  `.execute(db);
  return rows.length > 0;
}

/**
 * Closes the leases of a stopping node, and makes the others declare it dead after the grace period. Skips rows that are
 * locked.
 */
export async function retireNode(db: Db, nodeId: string, graceMs: number): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await closeFreeLeases(tx, sql`node_id = ${nodeId}`);
    await sql`delete from heartbeats where id in (${freeHeartbeats(nodeId)})`.execute(tx);
    await sql`
      update nodes set seen_at = clock_timestamp() - ${DEAD_AFTER} + ${graceMs} * interval '1 millisecond'
      where id in (${freeNode(nodeId)})
    `.execute(tx);
  });
}

/** Registers a node again that was declared dead, with its leases. */
export async function restoreNode(
  db: Db,
  { id: nodeId, name, version }: LiveNode,
  leases: readonly LeaseRow[],
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await sql`
      insert into nodes (id, name, version, log_version) values (${nodeId}, ${name}, ${version}, ${LOG_VERSION})
      on conflict (id) do update set seen_at = clock_timestamp(), stopped_at = null
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
  });
}

/**
 * Removes dead nodes with their leases. A node with leases or heartbeats whose rows, or whose actors' presence, are not
 * free within `LOCK_WAIT_MS` is kept with these, as declared dead, until a later call finds them free.
 */
export async function removeDeadNodes(db: Db, graceMs: number): Promise<PresenceChanges> {
  // A heartbeat in the future is from before the clock was set back: the node would count as alive until then.
  await sql`
    update nodes set seen_at = clock_timestamp() where id in (
      select id from nodes where seen_at > clock_timestamp() + ${graceMs} * interval '1 millisecond'
      for update skip locked
    )
  `.execute(db);
  await adoptLeases(db);
  return transactPastLocks(db, async (tx, mode) => {
    const dead = await tx
      .selectFrom('nodes')
      .select('id')
      .where(sql<boolean>`${LAST_SEEN} < clock_timestamp() - ${DEAD_AFTER}`)
      .forUpdate()
      .skipLocked()
      .execute();
    if (dead.length === 0) return { online: [], offline: [] };
    await sql`select set_config('lock_timeout', ${String(LOCK_WAIT_MS)}, true)`.execute(tx);
    const nodeIds = anyOfNodes(dead.map((node) => node.id));
    const { rows } = await sql<{ actorKind: ActorKind; actorId: number }>`
      select distinct actor_kind, actor_id from leases where node_id = ${nodeIds}
    `.execute(tx);
    const { free, locked } = await lockPresence(tx, rows.map(toActorRef), mode);
    if (mode === 'wait') await sql`delete from nodes where id = ${nodeIds}`.execute(tx);
    else {
      await deleteFreeLeases(tx, sql`node_id = ${nodeIds}`, locked);
      await sql`delete from heartbeats where id in (${freeHeartbeats(nodeIds)})`.execute(tx);
      await sql`update nodes set seen_at = ${DECLARED_DEAD} where id = ${nodeIds}`.execute(tx);
      await sql`
        delete from nodes where id = ${nodeIds} and not exists (select from leases where node_id = nodes.id)
          and not exists (select from heartbeats where node_id = nodes.id)
      `.execute(tx);
    }
    return updatePresence(tx, free);
  });
}

/**
 * Adds the nodes, as declared dead, of leases without one: a connection opened while another node removed its node, which
 * then ended without registering again.
 */
async function adoptLeases(db: Db): Promise<void> {
  await sql`
    with recursive owner as (
      (select min(node_id) as id from leases)
      union all
      select (select min(node_id) from leases where node_id > owner.id) from owner where id is not null
    )
    insert into nodes (id, seen_at, stopped_at)
    select id, ${DECLARED_DEAD}, clock_timestamp() from owner
    where id is not null and not exists (select from nodes where nodes.id = owner.id)
    on conflict do nothing
  `.execute(db);
}

const anyOfNodes = (ids: readonly string[]) => sql<string>`any(${ids}::text[])`;

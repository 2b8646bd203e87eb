import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import { actorKey } from '../actor.ts';
import type { ActorKind, ActorRef } from '../actor.ts';
import { isLockTimeout } from '../errors.ts';
import type { CircleId } from '../ids.ts';
import { findActors, toActorRef } from './actors.ts';
import type { ActorRow } from './actors.ts';
import type { Db, Tx } from './database.ts';
import { anyOf } from './sql.ts';

/** Returns those of the actors that are online. */
export async function findOnline(db: Db, actors: readonly ActorRef[]): Promise<ActorRef[]> {
  if (actors.length === 0) return [];
  const { rows } = await sql<{ actorKind: ActorKind; actorId: number }>`
    select presence.actor_kind, presence.actor_id
    from presence join ${unnestActors(actors)} using (actor_kind, actor_id)
    where presence.online
  `.execute(db);
  return rows.map(toActorRef);
}

/** Finds the actors with the circles they belong to. Deleted actors are left out. */
export async function findActorsWithCircles(
  db: Db,
  refs: readonly ActorRef[],
): Promise<{ readonly actor: ActorRow; readonly circleIds: readonly CircleId[] }[]> {
  const actors = await findActors(db, refs);
  const userIds = actors.flatMap((actor) => (actor.kind === 'user' ? [actor.user.id] : []));
  const memberships = await db
    .selectFrom('memberships')
    .select(['userId', 'circleId'])
    .where('userId', '=', anyOf(userIds))
    .execute();
  const circlesOf = Map.groupBy(memberships, (membership) => membership.userId);
  return actors.map((actor) => ({
    actor,
    circleIds:
      actor.kind === 'device'
        ? [actor.device.circleId]
        : (circlesOf.get(actor.user.id) ?? []).map((membership) => membership.circleId),
  }));
}

/** Finds the members and the device of the circle that are online. */
export async function findOnlineInCircle(db: Db, circleId: CircleId): Promise<ActorRow[]> {
  const { rows } = await sql<{ actorKind: ActorKind; actorId: number }>`
    select actor_kind, actor_id
    from memberships join presence on actor_kind = 'user' and actor_id = user_id and online
    where circle_id = ${circleId}
    union all
    select actor_kind, actor_id
    from devices join presence on actor_kind = 'device' and actor_id = devices.id and online
    where circle_id = ${circleId}
  `.execute(db);
  const actors = await findActors(db, rows.map(toActorRef));
  return actors.filter((actor) => actor.online);
}

/** Longest wait for rows that another transaction has locked. */
export const LOCK_WAIT_MS = 500;

/** Whether a transaction waits for locked rows, for at most `LOCK_WAIT_MS`, or skips them. */
export type LockMode = 'wait' | 'skip';

/** Runs a transaction that waits for locked rows. If they are not free in time, runs it again to skip them. */
export async function transactPastLocks<Result>(
  db: Db,
  work: (tx: Tx, mode: LockMode) => Promise<Result>,
): Promise<Result> {
  try {
    return await db.transaction().execute((tx) => work(tx, 'wait'));
  } catch (error) {
    if (!isLockTimeout(error)) throw error;
    return db.transaction().execute((tx) => work(tx, 'skip'));
  }
}

interface LockedPresence {
  /** Actors whose rows this transaction has locked. */
  readonly free: readonly ActorRef[];
  /** Actors whose rows it has skipped. */
  readonly locked: readonly ActorRef[];
}

/**
 * Locks the presence of actors in order, until the transaction ends. With 'wait', later statements of the transaction wait
 * at most `LOCK_WAIT_MS` for locks, too.
 */
export async function lockPresence(
  tx: Tx,
  actors: readonly ActorRef[],
  mode: LockMode,
): Promise<LockedPresence> {
  if (actors.length === 0) return { free: [], locked: [] };
  const isInput = sql`(actor_kind, actor_id) in (select actor_kind, actor_id from ${unnestActors(actors)})`;
  if (mode === 'wait') {
    // The limit is set below the sort, and so before the first row is locked.
    const { rows } = await sql<ActorColumns>`
      with wait as materialized (select set_config('lock_timeout', ${String(LOCK_WAIT_MS)}, true) as ms)
      select actor_kind, actor_id from wait, presence
      where wait.ms is not null and ${isInput}
      order by actor_kind, actor_id
      for update of presence
    `.execute(tx);
    return { free: rows.map(toActorRef), locked: [] };
  }
  const { rows } = await sql<ActorColumns>`
    select actor_kind, actor_id from presence where ${isInput}
    order by actor_kind, actor_id
    for update skip locked
  `.execute(tx);
  const free = rows.map(toActorRef);
  const found = new Set(free.map(actorKey));
  if (actors.every((actor) => found.has(actorKey(actor)))) return { free, locked: [] };
  // The others are locked, or do not exist.
  const existing = await sql<ActorColumns>`
    select actor_kind, actor_id from presence where ${isInput}
  `.execute(tx);
  return { free, locked: existing.rows.map(toActorRef).filter((actor) => !found.has(actorKey(actor))) };
}

/** Actors who came online, and who went offline. */
export interface PresenceChanges {
  readonly online: readonly ActorRef[];
  readonly offline: readonly ActorRef[];
}

/**
 * Sets actors online or offline by whether they have a lease. The transaction must have locked their rows before: the
 * snapshot of this statement includes the leases of those who had locked them until then.
 */
export async function updatePresence(tx: Tx, actors: readonly ActorRef[]): Promise<PresenceChanges> {
  if (actors.length === 0) return { online: [], offline: [] };
  const { rows } = await sql<ActorColumns & { readonly online: boolean }>`
    update presence set online = not online
    where (actor_kind, actor_id) in (select actor_kind, actor_id from ${unnestActors(actors)})
      and online <> ((
        select true from leases
        where leases.actor_kind = presence.actor_kind and leases.actor_id = presence.actor_id
        limit 1
      ) is not null)
    returning actor_kind, actor_id, online
  `.execute(tx);
  const { true: online = [], false: offline = [] } = Object.groupBy(rows, (row) => `${row.online}`);
  return { online: online.map(toActorRef), offline: offline.map(toActorRef) };
}

interface ActorColumns {
  readonly actorKind: ActorKind;
  readonly actorId: number;
}

/** The actors as a table `input (actor_kind, actor_id)`. */
export const unnestActors = (actors: readonly ActorRef[]): RawBuilder<unknown> => sql`unnest(
  ${actors.map((actor) => actor.kind)}::text[], ${actors.map((actor) => actor.id)}::int[]
) as input (actor_kind, actor_id)`;

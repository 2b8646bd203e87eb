import { sql } from 'kysely';
import type { CircleId, DeviceId, UserId } from '../ids.ts';
import { findActors } from './actors.ts';
import type { ActorRow } from './actors.ts';
import type { Db, Tx } from './database.ts';
import { anyOf, now } from './sql.ts';
import type { LeaseKind } from './tables.ts';
import type { ActorRef, ActorKind } from '../actor.ts';

/** A node that was not heard of for so long is dead, and its connections with it. */
const DEAD_AFTER = sql`interval '15 seconds'`;
/** The node's row is missing, or was being removed at that moment. */
const NODE_IS_GONE = ['23503', '40P01'];

export interface LeaseRow {
  readonly id: number;
  readonly kind: LeaseKind;
  readonly account: ActorRef;
}

/** Registers a process. When no other one uses the database, everybody of former ones is gone. */
export async function addNode(db: Db, nodeId: string, alone: boolean): Promise<void> {
  await db.transaction().execute(async (tx) => {
    if (alone) {
      await tx.deleteFrom('nodes').execute();
      await tx.updateTable('presence').set({ online: false }).where('online', '=', true).execute();
    }
    await tx.insertInto('nodes').values({ id: nodeId, seenAt: now }).execute();
  });
}

/**
 * Says that a node is alive, and returns how many milliseconds passed since it last did, by the clock of the database.
 * Undefined when it was taken for dead, and its leases with it.
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

/** Closes what is left of a node that stops, and lets the others take it for dead once the grace period is over. */
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
 * Adds leases, in their order, and answers each with whether its account was offline until now. Undefined when the
 * node is not registered. The rows in `presence` are locked on the way, so that nobody decides at the same moment
 * that an account is gone.
 */
export async function addLeases(
  db: Db,
  nodeId: string,
  leases: readonly Omit<LeaseRow, 'id'>[],
): Promise<readonly { readonly id: number; readonly cameOnline: boolean }[] | undefined> {
  try {
    const { rows } = await sql<{ id: number; cameOnline: boolean }>`
      with given as (
        select nextval(pg_get_serial_sequence('leases', 'id')) as id, kind, actor_kind, actor_id
        from unnest(
          ${leases.map((lease) => lease.kind)}::text[],
          ${leases.map((lease) => lease.account.kind)}::text[],
          ${leases.map((lease) => lease.account.id)}::int[]
        ) as given (kind, actor_kind, actor_id)
      ), lease as (
        insert into leases (id, node_id, kind, actor_kind, actor_id)
        overriding system value
        select id, ${nodeId}, kind, actor_kind, actor_id from given
      ), came_online as (
        insert into presence (actor_kind, actor_id, online)
        select distinct actor_kind, actor_id, true from given order by actor_kind, actor_id
        on conflict (actor_kind, actor_id) do update set online = true where not presence.online
        returning actor_kind, actor_id
      )
      select id, came_online.actor_id is not null as "cameOnline"
      from given left join came_online using (actor_kind, actor_id)
      order by id
    `.execute(db);
    return rows;
  } catch (error) {
    if (error instanceof Error && 'code' in error && NODE_IS_GONE.some((code) => code === error.code)) {
      return undefined;
    }
    throw error;
  }
}

/** Registers a node that was taken for dead again, with the leases it has. Answers who was offline until now. */
export async function restoreNode(db: Db, nodeId: string, leases: readonly LeaseRow[]): Promise<ActorRef[]> {
  return db.transaction().execute(async (tx) => {
    await sql`
      insert into nodes (id) values (${nodeId}) on conflict (id) do update set seen_at = clock_timestamp()
    `.execute(tx);
    await sql`
      insert into leases (id, node_id, kind, actor_kind, actor_id)
      overriding system value
      select id, ${nodeId}, kind, actor_kind, actor_id
      from unnest(
        ${leases.map((lease) => lease.id)}::bigint[],
        ${leases.map((lease) => lease.kind)}::text[],
        ${leases.map((lease) => lease.account.kind)}::text[],
        ${leases.map((lease) => lease.account.id)}::int[]
      ) as given (id, kind, actor_kind, actor_id)
      on conflict do nothing
    `.execute(tx);
    const { rows } = await sql<{ actorKind: ActorKind; actorId: number }>`
      insert into presence (actor_kind, actor_id, online)
      select distinct actor_kind, actor_id, true from leases where node_id = ${nodeId}
      order by actor_kind, actor_id
      on conflict (actor_kind, actor_id) do update set online = true where not presence.online
      returning actor_kind, actor_id
    `.execute(tx);
    return rows.map(accountOf);
  });
}

/** Notes that connections ended. Their accounts stay online until `removeLeases`. */
export async function closeLeases(db: Db, ids: readonly number[]): Promise<void> {
  await db.updateTable('leases').set({ closedAt: now }).where('id', '=', anyOfLeases(ids)).execute();
}

/** Removes leases, and answers those of the accounts who are offline from now on. */
export async function removeLeases(
  db: Db,
  ids: readonly number[],
  accounts: readonly ActorRef[],
): Promise<ActorRef[]> {
  return db.transaction().execute(async (tx) => {
    await tx.deleteFrom('leases').where('id', '=', anyOfLeases(ids)).execute();
    return markOffline(tx, accounts);
  });
}

/** Removes nodes that are dead, and answers those of their accounts who are offline from now on. */
export async function removeDeadNodes(db: Db, graceMs: number): Promise<ActorRef[]> {
  // Seen before the clock was set back: they would stay alive until it gets there again.
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
    return markOffline(tx, rows.map(accountOf));
  });
}

/**
 * Sets those accounts offline that have no lease left. Their rows are locked first, in order, and the leases looked
 * for in a later statement: one that was added meanwhile, by whoever held the row, is then seen.
 */
async function markOffline(tx: Tx, accounts: readonly ActorRef[]): Promise<ActorRef[]> {
  if (accounts.length === 0) return [];
  const given = sql`unnest(
    ${accounts.map((account) => account.kind)}::text[], ${accounts.map((account) => account.id)}::int[]
  ) as given (actor_kind, actor_id)`;
  await sql`
    select 1 from presence
    where (actor_kind, actor_id) in (select actor_kind, actor_id from ${given})
    order by actor_kind, actor_id
    for update
  `.execute(tx);
  const { rows } = await sql<{ actorKind: ActorKind; actorId: number }>`
    update presence set online = false
    where online and (actor_kind, actor_id) in (select actor_kind, actor_id from ${given})
      and not exists (
        select 1 from leases
        where leases.actor_kind = presence.actor_kind and leases.actor_id = presence.actor_id
      )
    returning actor_kind, actor_id
  `.execute(tx);
  return rows.map(accountOf);
}

/** Those of the accounts who are online. */
export async function findOnline(db: Db, accounts: readonly ActorRef[]): Promise<ActorRef[]> {
  if (accounts.length === 0) return [];
  const { rows } = await sql<{ actorKind: ActorKind; actorId: number }>`
    select presence.actor_kind, presence.actor_id
    from presence join unnest(
      ${accounts.map((account) => account.kind)}::text[], ${accounts.map((account) => account.id)}::int[]
    ) as given (actor_kind, actor_id) using (actor_kind, actor_id)
    where presence.online
  `.execute(db);
  return rows.map(accountOf);
}

/** Where an account can be reached at this moment: its newest legacy connection, and whether it reads its signals. */
export interface Reachability {
  readonly legacyLease: number | null;
  readonly signals: boolean;
}

export async function findReach(db: Db, account: ActorRef): Promise<Reachability> {
  const { rows } = await sql<Reachability>`
    select max(leases.id) filter (where kind = 'legacy') as legacy_lease,
      coalesce(bool_or(kind = 'signals'), false) as signals
    from leases join nodes on nodes.id = leases.node_id
    where actor_kind = ${account.kind} and actor_id = ${account.id} and closed_at is null
      and nodes.seen_at >= least(clock_timestamp(), (select max(seen_at) from nodes)) - ${DEAD_AFTER}
  `.execute(db);
  return rows[0] ?? { legacyLease: null, signals: false };
}

/** Those of the accounts that still exist, each with the circles in which it is seen. */
export async function findCirclesOfActors(
  db: Db,
  accounts: readonly ActorRef[],
): Promise<{ readonly actor: ActorRow; readonly circleIds: readonly CircleId[] }[]> {
  const actors = await findActors(db, accounts);
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

/** Who of the circle is online. */
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
  const actors = await findActors(db, rows.map(accountOf));
  return actors.filter((actor) => actor.online);
}

const anyOfNodes = (ids: readonly string[]) => sql<string>`any(${ids}::text[])`;
const anyOfLeases = (ids: readonly number[]) => sql<number>`any(${ids}::bigint[])`;

const accountOf = (row: { readonly actorKind: ActorKind; readonly actorId: number }): ActorRef =>
  row.actorKind === 'user'
    ? { kind: 'user', id: row.actorId as UserId }
    : { kind: 'device', id: row.actorId as DeviceId };

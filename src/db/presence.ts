import { sql } from 'kysely';
import type { ActorKind, ActorRef } from '../actor.ts';
import type { CircleId } from '../ids.ts';
import { findActors, toActorRef } from './actors.ts';
import type { ActorRow } from './actors.ts';
import type { Db } from './database.ts';
import { anyOf } from './sql.ts';

/** Returns those of the actors that are online. */
export async function findOnline(db: Db, actors: readonly ActorRef[]): Promise<ActorRef[]> {
  if (actors.length === 0) return [];
  const { rows } = await sql<{ actorKind: ActorKind; actorId: number }>`
    select presence.actor_kind, presence.actor_id
    from presence join unnest(
      ${actors.map((actor) => actor.kind)}::text[], ${actors.map((actor) => actor.id)}::int[]
    ) as input (actor_kind, actor_id) using (actor_kind, actor_id)
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

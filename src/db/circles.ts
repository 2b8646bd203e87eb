import { sql } from 'kysely';
import type { CircleId, InvitationId, MembershipId, UserId } from '../ids.ts';
import { CIRCLE_COLUMNS, INVITATION_COLUMNS, MEMBERSHIP_COLUMNS } from './columns.ts';
import { compileOnce } from './compile-once.ts';
import type { Db, Tx } from './database.ts';
import { anyOf, now } from './sql.ts';
import type { Circle, CircleInvitation, CircleRole, Membership } from './tables.ts';
import type { ActorRef } from '../actor.ts';

/** A circle with the actor's role; null for its device. */
export interface CircleAccess {
  readonly circle: Circle;
  readonly role: CircleRole | null;
}

export async function insert(tx: Tx, name: string): Promise<Circle> {
  return tx.insertInto('circles').values({ name }).returning(CIRCLE_COLUMNS).executeTakeFirstOrThrow();
}

export async function rename(tx: Tx, id: CircleId, name: string): Promise<Circle> {
  return tx
    .updateTable('circles')
    .set({ name, updatedAt: now })
    .where('id', '=', id)
    .returning(CIRCLE_COLUMNS)
    .executeTakeFirstOrThrow();
}

/** Deletes the circle with its conversations, memberships, invitations and device (cascade). */
export async function remove(tx: Tx, id: CircleId): Promise<void> {
  await tx.deleteFrom('circles').where('id', '=', id).execute();
}

export async function findByIds(db: Db, ids: readonly CircleId[]): Promise<Circle[]> {
  return db.selectFrom('circles').select(CIRCLE_COLUMNS).where('id', '=', anyOf(ids)).execute();
}

/** Finds a circle to which the actor belongs, with its role. */
export async function findAccess(db: Db, actor: ActorRef, id: CircleId): Promise<CircleAccess | undefined> {
  if (actor.kind === 'device') {
    const circle = await selectByDevice(db, actor).where('circles.id', '=', id).executeTakeFirst();
    return circle === undefined ? undefined : { circle, role: null };
  }
  const row = await selectByUser(db, actor.id)
    .select('memberships.role')
    .where('circles.id', '=', id)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { role, ...circle } = row;
  return { circle, role };
}

export async function findByActor(db: Db, actor: ActorRef): Promise<Circle[]> {
  return actor.kind === 'device' ? selectByDevice(db, actor).execute() : findByUser(db, actor.id);
}

const selectByUser = (db: Db, id: UserId) =>
  db
    .selectFrom('circles')
    .innerJoin('memberships', 'memberships.circleId', 'circles.id')
    .select(CIRCLE_COLUMNS)
    .where('memberships.userId', '=', id);

const findByUser = compileOnce((db, id: UserId) => selectByUser(db, id).orderBy('circles.id'));

const selectByDevice = (db: Db, device: ActorRef & { kind: 'device' }) =>
  db
    .selectFrom('circles')
    .innerJoin('devices', 'devices.circleId', 'circles.id')
    .select(CIRCLE_COLUMNS)
    .where('devices.id', '=', device.id);

/** Returns the circles whose only member is the user. */
export async function findWithOnlyMember(
  db: Db,
  ids: readonly CircleId[],
  userId: UserId,
): Promise<CircleId[]> {
  const rows = await db
    .selectFrom('memberships')
    .select('circleId')
    .where('circleId', '=', anyOf(ids))
    .groupBy('circleId')
    .having(({ eb, fn }) => eb(fn.countAll(), '=', 1))
    .having(({ eb, fn }) => eb(fn.min('userId'), '=', userId))
    .execute();
  return rows.map((row) => row.circleId);
}

export async function insertMembership(
  tx: Tx,
  membership: { circleId: CircleId; userId: UserId; role: CircleRole },
): Promise<Membership> {
  return tx
    .insertInto('memberships')
    .values(membership)
    .returning(MEMBERSHIP_COLUMNS)
    .executeTakeFirstOrThrow();
}

/** Returns the deleted membership; undefined if there was none. */
export async function removeMembership(
  tx: Tx,
  circleId: CircleId,
  userId: UserId,
): Promise<Membership | undefined> {
  return tx
    .deleteFrom('memberships')
    .where('circleId', '=', circleId)
    .where('userId', '=', userId)
    .returning(MEMBERSHIP_COLUMNS)
    .executeTakeFirst();
}

/** Promotes the oldest member if the circle has no ADMIN. */
export async function ensureAdmin(tx: Tx, circleId: CircleId): Promise<void> {
  await sql`
    update memberships set role = 'ADMIN', updated_at = ${now}
    where id = (
      select min(id) from memberships where circle_id = ${circleId}
      having count(*) filter (where role = 'ADMIN') = 0
    )
  `.execute(tx);
}

export async function findMembership(db: Db, id: MembershipId): Promise<Membership | undefined> {
  return db.selectFrom('memberships').select(MEMBERSHIP_COLUMNS).where('id', '=', id).executeTakeFirst();
}

/** Finds the memberships of all these circles, oldest first. */
export const findMembershipsByCircles = compileOnce((db, circleIds: readonly CircleId[]) =>
  db
    .selectFrom('memberships')
    .select(MEMBERSHIP_COLUMNS)
    .where('circleId', '=', anyOf(circleIds))
    .orderBy('id'),
);

export async function isMember(db: Db, circleId: CircleId, userId: UserId): Promise<boolean> {
  const row = await db
    .selectFrom('memberships')
    .select('id')
    .where('circleId', '=', circleId)
    .where('userId', '=', userId)
    .executeTakeFirst();
  return row !== undefined;
}

export async function hasInvitation(db: Db, circleId: CircleId, userId: UserId): Promise<boolean> {
  const row = await db
    .selectFrom('invitations')
    .select('id')
    .where('circleId', '=', circleId)
    .where('userId', '=', userId)
    .executeTakeFirst();
  return row !== undefined;
}

export async function removeInvitation(tx: Tx, id: InvitationId): Promise<void> {
  await tx.deleteFrom('invitations').where('id', '=', id).execute();
}

/** Finds the invitations that the user has received, oldest first. */
export async function findInvitationsByUser(db: Db, userId: UserId): Promise<CircleInvitation[]> {
  return db
    .selectFrom('invitations')
    .select([...INVITATION_COLUMNS, 'invitations.email'])
    .where('userId', '=', userId)
    .orderBy('id')
    .execute();
}

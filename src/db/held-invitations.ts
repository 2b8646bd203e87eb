import { sql } from 'kysely';
import type { CircleId, InvitationId, UserId } from '../ids.ts';
import { emailKey } from '../lib/text.ts';
import type { Db, Tx } from './database.ts';
import { anyOf } from './sql.ts';
import type { CircleInvitation, Invitation } from './tables.ts';

export interface NewInvitation {
  readonly circleId: CircleId;
  readonly invitedById: UserId;
  readonly email: string;
}

/** Undefined if the circle already has an invitation for the e-mail that is not delivered. */
export async function insert(tx: Tx, invitation: NewInvitation): Promise<InvitationId | undefined> {
  const row = await tx
    .insertInto('heldInvitations')
    .values({ ...invitation, emailKey: emailKey(invitation.email) })
    .onConflict((conflict) => conflict.columns(['circleId', 'emailKey']).doNothing())
    .returning('id')
    .executeTakeFirst();
  return row?.id;
}

/** Writes a held invitation without changing it. */
export async function touch(tx: Tx, id: InvitationId): Promise<void> {
  await tx
    .updateTable('heldInvitations')
    .set(({ ref }) => ({ email: ref('email') }))
    .where('id', '=', id)
    .execute();
}

/** Returns whether any invitation for the e-mail is held, whatever the reason. */
export async function hasAny(db: Db, email: string): Promise<boolean> {
  const row = await db
    .selectFrom('heldInvitations')
    .select('id')
    .where('emailKey', '=', emailKey(email))
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** Deletes the held invitations for an e-mail, whose account is being deleted. */
export async function removeByEmail(tx: Tx, email: string): Promise<void> {
  await tx.deleteFrom('heldInvitations').where('emailKey', '=', emailKey(email)).execute();
}

/** Returns the e-mails of the held invitations of an inviter, as it wrote them. */
export async function findEmailsByInviter(db: Db, inviterId: UserId): Promise<string[]> {
  const rows = await db
    .selectFrom('heldInvitations')
    .select('email')
    .distinct()
    .where('invitedById', '=', inviterId)
    .execute();
  return rows.map(({ email }) => email);
}

export interface Candidate {
  readonly id: InvitationId;
  readonly email: string;
}

/**
 * Finds the held invitations for an account's e-mail that the account does not block, oldest first. `verifiedOnly` excludes
 * those of inviters whose e-mail is not verified.
 */
export async function findDeliverable(
  tx: Tx,
  user: { readonly id: UserId; readonly email: string },
  { limit, verifiedOnly }: { readonly limit: number; readonly verifiedOnly: boolean },
): Promise<Candidate[]> {
  return tx
    .selectFrom('heldInvitations')
    .leftJoin('users', 'users.id', 'heldInvitations.invitedById')
    .select(['heldInvitations.id', 'heldInvitations.email'])
    .where('heldInvitations.emailKey', '=', emailKey(user.email))
    .where(
      sql<boolean>`not exists (
        select 1 from invitation_blocks
        where user_id = ${user.id} and inviter_id = held_invitations.invited_by_id
      )`,
    )
    .where(
      sql<boolean>`(not ${verifiedOnly}::boolean or users.id is null or users.verified_email = users.email)`,
    )
    .orderBy('heldInvitations.id')
    .limit(limit)
    .execute();
}

/**
 * Delivers held invitations to the account; returns them. Discards those to a circle of which the account is a member or
 * has an invitation, under another spelling of its e-mail.
 */
export async function deliver(tx: Tx, ids: readonly InvitationId[], userId: UserId): Promise<Invitation[]> {
  const { rows } = await sql<Invitation>`
    with delivered as (
      delete from held_invitations where id = ${anyOf(ids)}
      returning id, circle_id, invited_by_id, email, created_at
    )
    insert into invitations (id, circle_id, user_id, invited_by_id, email, created_at)
    overriding system value
    select id, circle_id, ${userId}, invited_by_id, email, created_at from delivered
    where not exists (
      select 1 from memberships
      where memberships.circle_id = delivered.circle_id and memberships.user_id = ${userId}
    )
    order by id
    on conflict do nothing
    returning id, circle_id, user_id, invited_by_id, created_at
  `.execute(tx);
  return rows;
}

/**
 * Takes delivered invitations back from the account: those of the inviter, or all without one. To their circles they look
 * the same as before.
 */
export async function takeBack(tx: Tx, userId: UserId, inviterId: UserId | undefined): Promise<void> {
  const taken = sql`
    delete from invitations
    where user_id = ${userId} and (${inviterId ?? null}::int is null or invited_by_id = ${inviterId ?? null}::int)
    returning id, circle_id, invited_by_id, email, created_at
  `;
  const { rows } = await sql<{
    id: InvitationId;
    circleId: CircleId;
    invitedById: UserId | null;
    email: string;
    createdAt: string;
  }>`
    with taken as (${taken})
    select taken.id, circle_id, invited_by_id, coalesce(taken.email, users.email) as email, taken.created_at
    from taken join users on users.id = ${userId}
  `.execute(tx);
  if (rows.length === 0) return;
  await tx
    .insertInto('heldInvitations')
    .values(rows.map((row) => ({ ...row, emailKey: emailKey(row.email) })))
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Counts the pending invitations of the last `days` days, delivered or not, of an inviter and of a circle. */
export async function countPending(
  db: Db,
  { inviterId, circleId, days }: { inviterId: UserId; circleId: CircleId; days: number },
): Promise<{ readonly byInviter: number; readonly byCircle: number }> {
  const { rows } = await sql<{ byInviter: number; byCircle: number }>`
    with pending as (
      select invited_by_id, circle_id, created_at from invitations
      where invited_by_id = ${inviterId} or circle_id = ${circleId}
      union all
      select invited_by_id, circle_id, created_at from held_invitations
      where invited_by_id = ${inviterId} or circle_id = ${circleId}
    )
    select
      (count(*) filter (where invited_by_id = ${inviterId}))::int as by_inviter,
      (count(*) filter (where circle_id = ${circleId}))::int as by_circle
    from pending where created_at > now() - make_interval(days => ${days})
  `.execute(db);
  return rows[0] ?? { byInviter: 0, byCircle: 0 };
}

/** Counts the invitations that the account has received and not replied to. */
export async function countDelivered(db: Db, userId: UserId): Promise<number> {
  const { count } = await db
    .selectFrom('invitations')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('userId', '=', userId)
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** Finds the pending invitations of all these circles, delivered or not, oldest first. */
export async function findByCircles(db: Db, circleIds: readonly CircleId[]): Promise<CircleInvitation[]> {
  const { rows } = await sql<CircleInvitation>`
    select id, circle_id, user_id, invited_by_id, email, created_at
    from invitations where circle_id = ${anyOf(circleIds)}
    union all
    select id, circle_id, null::int, invited_by_id, email, created_at
    from held_invitations where circle_id = ${anyOf(circleIds)}
    order by id
  `.execute(db);
  return rows;
}

/** Finds a pending invitation, delivered or not. */
export async function find(db: Db, id: InvitationId): Promise<CircleInvitation | undefined> {
  const { rows } = await sql<CircleInvitation>`
    select id, circle_id, user_id, invited_by_id, email, created_at from invitations where id = ${id}
    union all
    select id, circle_id, null::int, invited_by_id, email, created_at from held_invitations where id = ${id}
  `.execute(db);
  return rows[0];
}

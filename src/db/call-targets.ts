import { sql } from 'kysely';
import type { DeviceId, UserId } from '../ids.ts';
import type { Db } from './database.ts';
import { matchesEmail, emailOrder } from './email-match.ts';
import type { ActorRef } from '../actor.ts';

/** The address of a call: e-mail, user id or device id. */
export type CallTarget =
  | { readonly kind: 'email'; readonly email: string }
  | { readonly kind: 'user'; readonly id: UserId }
  | { readonly kind: 'device'; readonly id: DeviceId };

/** Finds the target of a call. Undefined unless it is the caller, or shares a circle with the caller. */
export async function findTarget(
  db: Db,
  caller: ActorRef,
  target: CallTarget,
): Promise<ActorRef | undefined> {
  return target.kind === 'device' ? findDevice(db, caller, target.id) : findUser(db, caller, target);
}

async function findDevice(db: Db, caller: ActorRef, id: DeviceId): Promise<ActorRef | undefined> {
  const row = await db
    .selectFrom('devices')
    .select('id')
    .where('id', '=', id)
    .where(sql<boolean>`devices.circle_id in ${circlesOf(caller)}`)
    .executeTakeFirst();
  return row === undefined ? undefined : { kind: 'device', id: row.id };
}

async function findUser(
  db: Db,
  caller: ActorRef,
  target: Exclude<CallTarget, { kind: 'device' }>,
): Promise<ActorRef | undefined> {
  const row = await db
    .selectFrom('users')
    .select('id')
    .where(target.kind === 'email' ? matchesEmail(target.email) : sql<boolean>`users.id = ${target.id}`)
    .where(
      sql<boolean>`((${caller.kind} = 'user' and users.id = ${caller.id}) or exists (
        select 1 from memberships
        where memberships.user_id = users.id and memberships.circle_id in ${circlesOf(caller)}
      ))`,
    )
    .orderBy(target.kind === 'email' ? emailOrder(target.email) : sql`users.id`)
    .executeTakeFirst();
  return row === undefined ? undefined : { kind: 'user', id: row.id };
}

const circlesOf = (caller: ActorRef) =>
  caller.kind === 'user'
    ? sql`(select circle_id from memberships where user_id = ${caller.id})`
    : sql`(select circle_id from devices where id = ${caller.id})`;

import { sql } from 'kysely';
import type { DeviceId, UserId } from '../ids.ts';
import type { Db } from './database.ts';
import { anyOf } from './sql.ts';
import type { Device, User } from './tables.ts';
import type { ActorRef } from '../actor.ts';

/** An account with what is shown of it everywhere. */
export type ActorRow =
  | { readonly kind: 'user'; readonly user: User; readonly online: boolean }
  | { readonly kind: 'device'; readonly device: Device; readonly online: boolean };

export const USER_COLUMNS = [
  'users.id',
  'users.email',
  'users.firstName',
  'users.lastName',
  'users.birthday',
  'users.createdAt',
  'users.updatedAt',
] as const;

export const DEVICE_COLUMNS = [
  'devices.id',
  'devices.circleId',
  'devices.name',
  'devices.username',
  'devices.activated',
  'devices.createdAt',
  'devices.updatedAt',
] as const;

/** Of a statement that joins `presence`, where those who were never online have no row. */
export const isOnline = sql<boolean>`coalesce(presence.online, false)`.as('online');

/** Those of the accounts that exist, in any order. */
export async function findActors(db: Db, accounts: readonly ActorRef[]): Promise<ActorRow[]> {
  const userIds = accounts.flatMap((account) => (account.kind === 'user' ? [account.id] : []));
  const deviceIds = accounts.flatMap((account) => (account.kind === 'device' ? [account.id] : []));
  return [
    ...(userIds.length === 0 ? [] : await findUsers(db, userIds)),
    ...(deviceIds.length === 0 ? [] : await findDevices(db, deviceIds)),
  ];
}

async function findUsers(db: Db, ids: readonly UserId[]): Promise<ActorRow[]> {
  const rows = await findSeenUsers(db, ids);
  return rows.map(({ online, ...user }) => ({ kind: 'user', user, online }));
}

/** A user, and whether it is online. */
export type SeenUser = User & { readonly online: boolean };

export async function findSeenUsers(db: Db, ids: readonly UserId[]): Promise<SeenUser[]> {
  return db
    .selectFrom('users')
    .leftJoin('presence', (join) =>
      join.on('presence.actorKind', '=', 'user').onRef('presence.actorId', '=', 'users.id'),
    )
    .select(USER_COLUMNS)
    .select(isOnline)
    .where('users.id', '=', anyOf(ids))
    .execute();
}

async function findDevices(db: Db, ids: readonly DeviceId[]): Promise<ActorRow[]> {
  const rows = await db
    .selectFrom('devices')
    .leftJoin('presence', (join) =>
      join.on('presence.actorKind', '=', 'device').onRef('presence.actorId', '=', 'devices.id'),
    )
    .select(DEVICE_COLUMNS)
    .select(isOnline)
    .where('devices.id', '=', anyOf(ids))
    .execute();
  return rows.map(({ online, ...device }) => ({ kind: 'device', device, online }));
}

import { sql } from 'kysely';
import type { DeviceId, UserId } from '../ids.ts';
import { DEVICE_COLUMNS, USER_COLUMNS } from './columns.ts';
import { compileOnce } from './compile-once.ts';
import type { Db } from './database.ts';
import { anyOf } from './sql.ts';
import type { Device, User } from './tables.ts';
import type { ActorKind, ActorRef } from '../actor.ts';

/** A user or device with its presence. */
export type ActorRow =
  | { readonly kind: 'user'; readonly user: User; readonly online: boolean }
  | { readonly kind: 'device'; readonly device: Device; readonly online: boolean };

/** For statements that left join `presence`, which has no row for actors that were never online. */
export const isOnline = sql<boolean>`coalesce(presence.online, false)`.as('online');

/** Finds the actors that exist, in any order. */
export async function findActors(db: Db, refs: readonly ActorRef[]): Promise<ActorRow[]> {
  const userIds = refs.flatMap((ref) => (ref.kind === 'user' ? [ref.id] : []));
  const deviceIds = refs.flatMap((ref) => (ref.kind === 'device' ? [ref.id] : []));
  return [
    ...(userIds.length === 0 ? [] : await findUsers(db, userIds)),
    ...(deviceIds.length === 0 ? [] : await findDevices(db, deviceIds)),
  ];
}

async function findUsers(db: Db, ids: readonly UserId[]): Promise<ActorRow[]> {
  const rows = await findUsersWithPresence(db, ids);
  return rows.map(({ online, ...user }) => ({ kind: 'user', user, online }));
}

export type UserWithPresence = User & { readonly online: boolean };

export const findUsersWithPresence = compileOnce((db, ids: readonly UserId[]) =>
  db
    .selectFrom('users')
    .leftJoin('presence', (join) =>
      join.on('presence.actorKind', '=', 'user').onRef('presence.actorId', '=', 'users.id'),
    )
    .select(USER_COLUMNS)
    .select(isOnline)
    .where('users.id', '=', anyOf(ids)),
);

const findDevicesWithPresence = compileOnce((db, ids: readonly DeviceId[]) =>
  db
    .selectFrom('devices')
    .leftJoin('presence', (join) =>
      join.on('presence.actorKind', '=', 'device').onRef('presence.actorId', '=', 'devices.id'),
    )
    .select(DEVICE_COLUMNS)
    .select(isOnline)
    .where('devices.id', '=', anyOf(ids)),
);

async function findDevices(db: Db, ids: readonly DeviceId[]): Promise<ActorRow[]> {
  const rows = await findDevicesWithPresence(db, ids);
  return rows.map(({ online, ...device }) => ({ kind: 'device', device, online }));
}

/** Maps the columns that store an actor to its reference. */
export const toActorRef = (row: { readonly actorKind: ActorKind; readonly actorId: number }): ActorRef =>
  row.actorKind === 'user'
    ? { kind: 'user', id: row.actorId as UserId }
    : { kind: 'device', id: row.actorId as DeviceId };

import { sql } from 'kysely';
import type { CircleId, DeviceId } from '../ids.ts';
import { usernameKey } from '../lib/text.ts';
import { DEVICE_COLUMNS } from './columns.ts';
import type { Db, Tx } from './database.ts';
import { anyOf, now } from './sql.ts';
import type { Device } from './tables.ts';

/** Undefined if the circle already has a device. */
export async function insert(
  tx: Tx,
  device: { circleId: CircleId; name: string; username: string; passwordHash: string },
): Promise<Device | undefined> {
  return tx
    .insertInto('devices')
    .values(device)
    .onConflict((conflict) => conflict.column('circleId').doNothing())
    .returning(DEVICE_COLUMNS)
    .executeTakeFirst();
}

export async function rename(tx: Tx, id: DeviceId, name: string): Promise<Device> {
  return tx
    .updateTable('devices')
    .set({ name, updatedAt: now })
    .where('id', '=', id)
    .returning(DEVICE_COLUMNS)
    .executeTakeFirstOrThrow();
}

export async function remove(tx: Tx, id: DeviceId): Promise<void> {
  await tx.deleteFrom('devices').where('id', '=', id).execute();
}

export async function findById(db: Db, id: DeviceId): Promise<Device | undefined> {
  return db.selectFrom('devices').select(DEVICE_COLUMNS).where('id', '=', id).executeTakeFirst();
}

export async function findByIds(db: Db, ids: readonly DeviceId[]): Promise<Device[]> {
  return db.selectFrom('devices').select(DEVICE_COLUMNS).where('id', '=', anyOf(ids)).execute();
}

export async function findByCircles(db: Db, circleIds: readonly CircleId[]): Promise<Device[]> {
  return db.selectFrom('devices').select(DEVICE_COLUMNS).where('circleId', '=', anyOf(circleIds)).execute();
}

/** Replaces an outdated hash of the same password. */
export async function upgradePasswordHash(
  db: Db,
  id: DeviceId,
  { former, upgraded }: { readonly former: string; readonly upgraded: string },
): Promise<void> {
  await db
    .updateTable('devices')
    .set({ passwordHash: upgraded })
    .where('id', '=', id)
    .where('passwordHash', '=', former)
    .execute();
}

/** Undefined for an unknown username, and for an inactive device. */
export async function findCredentials(
  db: Db,
  username: string,
): Promise<{ device: Device; passwordHash: string; generation: number } | undefined> {
  const row = await db
    .selectFrom('devices')
    .select([...DEVICE_COLUMNS, 'passwordHash', 'sessionGeneration'])
    .where('username', 'in', [username, usernameKey(username)])
    .where('activated', '=', true)
    .orderBy(sql`username <> ${username}`)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { passwordHash, sessionGeneration, ...device } = row;
  return { device, passwordHash, generation: sessionGeneration };
}

import type { Selectable } from 'kysely';
import type { AuditEntryId } from '../ids.ts';
import type { Db } from './database.ts';
import type { Timestamp } from './tables.ts';
import type { AuditLogTable } from './tables/accounts.ts';

export type AuditEntry = Selectable<AuditLogTable>;

export type NewAuditEntry = Pick<
  AuditEntry,
  'action' | 'arguments' | 'reason' | 'address' | 'nodeId' | 'nodeName'
>;

export async function insert(db: Db, entry: NewAuditEntry): Promise<AuditEntryId> {
  const { id } = await db
    .insertInto('auditLog')
    .values({ ...entry, arguments: JSON.stringify(entry.arguments) })
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}

export async function setOutcome(db: Db, id: AuditEntryId, outcome: string): Promise<void> {
  await db.updateTable('auditLog').set({ outcome }).where('id', '=', id).execute();
}

/** Returns the newest entries, or the newest before one. */
export async function findNewest(
  db: Db,
  { before, limit }: { readonly before: AuditEntryId | undefined; readonly limit: number },
): Promise<AuditEntry[]> {
  let query = db.selectFrom('auditLog').selectAll().orderBy('id', 'desc').limit(limit);
  if (before !== undefined) query = query.where('id', '<', before);
  return query.execute();
}

export async function deleteEntriesBefore(db: Db, time: Timestamp, limit: number): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('auditLog')
    .where('id', 'in', (query) =>
      query.selectFrom('auditLog').select('id').where('at', '<', time).orderBy('at').limit(limit),
    )
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}

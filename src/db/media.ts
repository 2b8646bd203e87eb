import { sql } from 'kysely';
import type { MediaId, MessageId } from '../ids.ts';
import { MEDIA_COLUMNS, MESSAGE_COLUMNS } from './columns.ts';
import { accessCondition } from './conversation-access.ts';
import type { Db, Tx } from './database.ts';
import { anyOf, now } from './sql.ts';
import type { Media, Message } from './tables.ts';
import type { ActorRef } from '../actor.ts';

/** Finds the media of messages, in the order of sending. */
export async function findByMessages(db: Db, ids: readonly MessageId[]): Promise<Media[]> {
  return db
    .selectFrom('media')
    .select(MEDIA_COLUMNS)
    .where('messageId', '=', anyOf(ids))
    .orderBy('messageId')
    .orderBy('id')
    .execute();
}

/** Reserves ids for new media, in ascending order. */
export async function reserveIds(db: Db, count: number): Promise<MediaId[]> {
  if (count === 0) return [];
  const { rows } = await sql<{ id: MediaId }>`
    select nextval('media_id_seq')::int as id from generate_series(1, ${count}::int)
  `.execute(db);
  return rows.map(({ id }) => id).sort((a, b) => a - b);
}

/** Finds media with the name of its stored file. Undefined unless the actor has access to its conversation. */
export async function findReadable(
  db: Db,
  actor: ActorRef,
  id: MediaId,
): Promise<{ readonly media: Media; readonly storageName: string | null } | undefined> {
  const row = await db
    .selectFrom('media')
    .innerJoin('messages', 'messages.id', 'media.messageId')
    .select([...MEDIA_COLUMNS, 'media.storageName'])
    .where('media.id', '=', id)
    .where(accessCondition(actor, sql.ref('messages.conversation_id')))
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { storageName, ...media } = row;
  return { media, storageName };
}

export async function findMessage(db: Db, id: MediaId): Promise<Message | undefined> {
  return db
    .selectFrom('messages')
    .innerJoin('media', 'media.messageId', 'messages.id')
    .select(MESSAGE_COLUMNS)
    .where('media.id', '=', id)
    .executeTakeFirst();
}

export interface UploadedFile {
  readonly filename: string;
  readonly extension: string;
  readonly contentType: string;
  readonly size: number;
  readonly storageName: string;
}

/** Records the stored file of media. A replaced file becomes unused (trigger `media_replaced`). */
export async function setUploaded(tx: Tx, id: MediaId, file: UploadedFile): Promise<void> {
  await tx
    .updateTable('media')
    .set({ ...file, uploadedAt: now })
    .where('id', '=', id)
    .execute();
}

export async function isStored(db: Db, storageName: string): Promise<boolean> {
  const row = await db
    .selectFrom('media')
    .select('id')
    .where('storageName', '=', storageName)
    .executeTakeFirst();
  return row !== undefined;
}

/** Returns stored files that no media references. */
export async function findUnusedFiles(db: Db, limit: number): Promise<string[]> {
  const rows = await db.selectFrom('unusedFiles').select('storageName').limit(limit).execute();
  return rows.map((row) => row.storageName);
}

export async function deleteUnusedFiles(db: Db, storageNames: readonly string[]): Promise<void> {
  await db
    .deleteFrom('unusedFiles')
    .where('storageName', '=', sql<string>`any(${storageNames}::text[])`)
    .execute();
}

import { sql } from 'kysely';
import type { MessageId } from '../ids.ts';
import type { Db, Tx } from './database.ts';
import { MESSAGE_COLUMNS } from './columns.ts';
import type { Message } from './tables.ts';

/** The day in UTC by the clock of the database, which all nodes share. */
const today = sql`(clock_timestamp() at time zone 'utc')::date`;

export interface UploadUsage {
  readonly bytes: number;
  /** Time until the next day, which starts at 0. */
  readonly msUntilReset: number;
}

/** Returns what an account has uploaded today. */
export async function readUsage(db: Db, account: string): Promise<UploadUsage> {
  const { rows } = await sql<UploadUsage>`
    select
      coalesce((select bytes from upload_usage where account = ${account} and day = ${today}), 0)::bigint as bytes,
      ceil(extract(epoch from ${today} + 1 - clock_timestamp() at time zone 'utc') * 1000)::int as ms_until_reset
  `.execute(db);
  const [usage] = rows;
  if (usage === undefined) throw new Error('The query returned no usage');
  return usage;
}

/** Returns what the account has uploaded today, with these bytes. */
export async function addUsage(db: Db, account: string, bytes: number): Promise<number> {
  const { rows } = await sql<{ bytes: number }>`
    insert into upload_usage (account, day, bytes) values (${account}, ${today}, ${bytes}::bigint)
    on conflict (account, day) do update set bytes = upload_usage.bytes + excluded.bytes
    returning bytes
  `.execute(db);
  return rows[0]?.bytes ?? bytes;
}

/** Deletes at most `limit` rows of earlier days. Returns the number of deleted rows. */
export async function deleteUsageOfEarlierDays(db: Db, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`
    delete from upload_usage where ctid in (select ctid from upload_usage where day < ${today} limit ${limit})
  `.execute(db);
  return Number(numAffectedRows ?? 0);
}

export async function deleteUsageOf(tx: Tx, account: string): Promise<void> {
  await tx.deleteFrom('uploadUsage').where('account', '=', account).execute();
}

/**
 * Records the name under which a file is about to be stored, in case the node crashes before a media refers to it, and the id
 * of its upload in parts.
 */
export async function startUpload(db: Db, storageName: string, partUploadId?: string): Promise<void> {
  await db
    .insertInto('unfinishedUploads')
    .values({ storageName, partUploadId: partUploadId ?? null })
    .onConflict((conflict) =>
      conflict.column('storageName').doUpdateSet({ partUploadId: sql`excluded.part_upload_id` }),
    )
    .execute();
}

/** Removes that record: a media refers to the file, or the file was removed. Returns false if it was abandoned before. */
export async function finishUpload(db: Db, storageName: string): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('unfinishedUploads')
    .where('storageName', '=', storageName)
    .executeTakeFirst();
  return numDeletedRows > 0n;
}

/** The record of an upload. */
export interface RecordedUpload {
  readonly partUploadId: string | null;
  readonly isFinished: boolean;
}

/**
 * Marks an upload as finished, and its file as unused. The record stays until it is abandoned: the file is removed again then.
 * Returns false if the upload was finished or abandoned before, or has another id of parts.
 */
export async function retireUpload(
  tx: Tx,
  storageName: string,
  { partUploadId }: Pick<RecordedUpload, 'partUploadId'>,
): Promise<boolean> {
  const { rows } = await sql`
    with retired as (
      update unfinished_uploads set is_finished = true, part_upload_id = null
      where storage_name = ${storageName} and not is_finished
        and part_upload_id is not distinct from ${partUploadId}::text
      returning storage_name
    ), unused as (
      insert into unused_files (storage_name) select storage_name from retired on conflict do nothing
    )
    select from retired
  `.execute(tx);
  return rows.length > 0;
}

/** Finds an upload that is not abandoned. */
export async function findRecorded(db: Db, storageName: string): Promise<RecordedUpload | undefined> {
  return db
    .selectFrom('unfinishedUploads')
    .select(['partUploadId', 'isFinished'])
    .where('storageName', '=', storageName)
    .executeTakeFirst();
}

/** Records that an upload is in parts. Returns false if it is already, or was finished. */
export async function setPartUpload(db: Db, storageName: string, partUploadId: string): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('unfinishedUploads')
    .set({ partUploadId })
    .where('storageName', '=', storageName)
    .where('partUploadId', 'is', null)
    .where('isFinished', '=', false)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** Records that the parts of this id were removed. */
export async function clearPartUpload(db: Db, storageName: string, partUploadId: string): Promise<void> {
  await db
    .updateTable('unfinishedUploads')
    .set({ partUploadId: null })
    .where('storageName', '=', storageName)
    .where('partUploadId', '=', partUploadId)
    .execute();
}

const isAbandoned = (ageMs: number) =>
  sql<boolean>`started_at < clock_timestamp() - ${ageMs} * interval '1 millisecond'`;

/** Finds uploads in parts that are abandoned. */
export async function findAbandonedParts(
  db: Db,
  ageMs: number,
  limit: number,
): Promise<{ readonly storageName: string; readonly partUploadId: string }[]> {
  return db
    .selectFrom('unfinishedUploads')
    .select('storageName')
    .select(sql<string>`part_upload_id`.as('partUploadId'))
    .where('partUploadId', 'is not', null)
    .where(isAbandoned(ageMs))
    .limit(limit)
    .execute();
}

/**
 * Marks the files of uploads that a crash interrupted as unused, and those of finished ones again. Returns the number of
 * uploads, at most `limit`.
 */
export async function abandonUploads(db: Db, ageMs: number, limit: number): Promise<number> {
  const { rows } = await sql`
    with abandoned as (
      delete from unfinished_uploads where storage_name in (
        select storage_name from unfinished_uploads
        where ${isAbandoned(ageMs)} and part_upload_id is null
          and not exists (
            select from resumable_uploads
            where resumable_uploads.storage_name = unfinished_uploads.storage_name
          )
        limit ${limit} for update skip locked
      )
      returning storage_name
    ), unused as (
      insert into unused_files (storage_name)
      select storage_name from abandoned
      where not exists (select from media where media.storage_name = abandoned.storage_name)
      on conflict do nothing
    )
    select from abandoned
  `.execute(db);
  return rows.length;
}

/** Finds pending messages that were sent so long ago, oldest first. */
export async function findExpired(db: Db, ageMs: number, limit: number): Promise<Message[]> {
  return db
    .selectFrom('messages')
    .select(MESSAGE_COLUMNS)
    .where('status', '=', 'PENDING')
    .where(sql<boolean>`sent_at < clock_timestamp() - ${ageMs} * interval '1 millisecond'`)
    .orderBy('sentAt')
    .limit(limit)
    .execute();
}

/** Deletes the media of a message that were never uploaded, and completes the message. */
export async function dropMissingFiles(tx: Tx, id: MessageId): Promise<Message> {
  await tx.deleteFrom('media').where('messageId', '=', id).where('uploadedAt', 'is', null).execute();
  return tx
    .updateTable('messages')
    .set({
      status: 'DONE',
      mediaCount: sql<number>`(select count(*)::int from media where media.message_id = messages.id)`,
      updatedAt: sql`clock_timestamp()`,
    })
    .where('id', '=', id)
    .returning(MESSAGE_COLUMNS)
    .executeTakeFirstOrThrow();
}

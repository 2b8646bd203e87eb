import { sql } from 'kysely';
import type { ActorKey } from '../actor.ts';
import type { MediaId } from '../ids.ts';
import type { Db, Tx } from './database.ts';
import { now } from './sql.ts';
import type { Timestamp } from './tables.ts';

/** An upload that arrives in several requests. */
export interface ResumableUpload {
  /** Under which the bytes are stored that have arrived; the id of the upload, too. */
  readonly storageName: string;
  readonly mediaId: MediaId;
  /** As sent by the client. */
  readonly metadata: string;
  /** The declared size, in bytes. */
  readonly size: number;
  /** Bytes that survive a crash. */
  readonly received: number;
  /** Whether the file is that of its media. */
  readonly isFinished: boolean;
  readonly expiresAt: Timestamp;
}

const COLUMNS = [
  'storageName',
  'mediaId',
  'metadata',
  'size',
  'received',
  'isFinished',
  'expiresAt',
] as const satisfies readonly (keyof ResumableUpload)[];

export interface NewUpload extends Pick<ResumableUpload, 'storageName' | 'mediaId' | 'metadata' | 'size'> {
  readonly account: ActorKey;
  /** Time to finish the upload. */
  readonly lifetimeMs: number;
}

/**
 * Adds an upload in place of the former one of its media, whose file becomes unused (trigger `resumable_upload_ended`). Adds
 * nothing if the media was deleted.
 */
export async function addUpload(db: Db, upload: NewUpload): Promise<void> {
  const { storageName, mediaId, metadata, size, account, lifetimeMs } = upload;
  await sql`
    insert into resumable_uploads (media_id, storage_name, account, metadata, size, expires_at)
    select id, ${storageName}, ${account}, ${metadata}, ${size}::bigint, clock_timestamp() + ${lifetimeMs} * interval '1 millisecond'
    from media where id = ${mediaId} for key share
    on conflict (media_id) do update set
      storage_name = excluded.storage_name, account = excluded.account, metadata = excluded.metadata,
      size = excluded.size, received = 0, writer = null, is_finished = false, expires_at = excluded.expires_at
  `.execute(db);
}

/** Finds an upload of the account that has not expired. */
export async function findUpload(
  db: Db,
  account: ActorKey,
  storageName: string,
): Promise<ResumableUpload | undefined> {
  return db
    .selectFrom('resumableUploads')
    .select(COLUMNS)
    .where('storageName', '=', storageName)
    .where('account', '=', account)
    .where('expiresAt', '>', now)
    .executeTakeFirst();
}

/** Makes a request the only one that may add bytes. Returns false unless it continues where the upload has arrived. */
export async function claimUpload(
  db: Db,
  storageName: string,
  { writer, offset }: { readonly writer: string; readonly offset: number },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('resumableUploads')
    .set({ writer })
    .where('storageName', '=', storageName)
    .where('received', '=', offset)
    .where('isFinished', '=', false)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** Records what has arrived. Returns false if another request has claimed the upload, or it was removed. */
export async function advanceUpload(
  db: Db,
  storageName: string,
  { writer, received }: { readonly writer: string; readonly received: number },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('resumableUploads')
    .set({ received })
    .where('storageName', '=', storageName)
    .where('writer', '=', writer)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** Records that the file was published. Its bytes become unused. Returns false if it was before, or the upload was removed. */
export async function setFinished(tx: Tx, storageName: string): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('resumableUploads')
    .set({ isFinished: true, writer: null })
    .where('storageName', '=', storageName)
    .where('isFinished', '=', false)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** Removes an upload. Its file becomes unused (trigger `resumable_upload_removed`). */
export async function removeUpload(db: Db, storageName: string): Promise<void> {
  await db.deleteFrom('resumableUploads').where('storageName', '=', storageName).execute();
}

/** Removes the uploads of an account, as `removeUpload` does. */
export async function removeUploadsOf(tx: Tx, account: ActorKey): Promise<void> {
  await tx.deleteFrom('resumableUploads').where('account', '=', account).execute();
}

/** Removes expired uploads, as `removeUpload` does. Returns their number, at most `limit`. */
export async function removeExpiredUploads(db: Db, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`
    delete from resumable_uploads where storage_name in (
      select storage_name from resumable_uploads where expires_at < clock_timestamp() limit ${limit}
      for update skip locked
    )
  `.execute(db);
  return Number(numAffectedRows ?? 0);
}

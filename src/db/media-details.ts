import { sql } from 'kysely';
import type { ConversationId, MediaId } from '../ids.ts';
import { MEDIA_COLUMNS } from './columns.ts';
import type { Db } from './database.ts';
import { anyOf, now } from './sql.ts';
import type { Media } from './tables.ts';
import type { MediaDetailsTable } from './tables/media.ts';

/** Properties of a file that its bytes tell; null those that they do not. */
export type MediaDetails = Readonly<Pick<MediaDetailsTable, 'width' | 'height' | 'duration'>>;

/** A file that one node inspects. */
export interface ClaimedFile {
  readonly mediaId: MediaId;
  readonly storageName: string;
  readonly contentType: string;
  readonly size: number;
  /** Its author; `none` if that was deleted. */
  readonly account: string;
  /** How many claims of it there were, with this one. */
  readonly attempts: number;
}

/** Finds the details of files that have been inspected. */
export async function findDetails(
  db: Db,
  ids: readonly MediaId[],
): Promise<(MediaDetails & { readonly mediaId: MediaId })[]> {
  return db
    .selectFrom('media')
    .innerJoin('mediaDetails', 'mediaDetails.storageName', 'media.storageName')
    .select(['media.id as mediaId', 'width', 'height', 'duration'])
    .where('media.id', '=', anyOf(ids))
    .where('inspectedAt', 'is not', null)
    .execute();
}

/** Finds the previews of images. */
export async function findPreviews(
  db: Db,
  ids: readonly MediaId[],
): Promise<{ readonly mediaId: MediaId; readonly preview: Buffer }[]> {
  return db
    .selectFrom('media')
    .innerJoin('mediaDetails', 'mediaDetails.storageName', 'media.storageName')
    .select(['media.id as mediaId', 'preview'])
    .where('media.id', '=', anyOf(ids))
    .where('preview', 'is not', null)
    .$narrowType<{ preview: Buffer }>()
    .execute();
}

/**
 * Claims a file to inspect that no node has claimed, of the next account after this one: undefined if there is none. The claim
 * expires, later with each attempt.
 */
export async function claimFile(
  db: Db,
  { claimMs, afterAccount }: { readonly claimMs: number; readonly afterAccount: string },
): Promise<ClaimedFile | undefined> {
  const claim = async (after: string): Promise<ClaimedFile | undefined> => {
    const { rows } = await sql<ClaimedFile>`
      update media_details set
        attempts = media_details.attempts + 1,
        claimed_until = clock_timestamp() + ${claimMs} * 2 ^ media_details.attempts * interval '1 millisecond'
      from media
      where media.id = media_details.media_id and media_details.storage_name = (
        select media_details.storage_name from media_details
        join media on media.id = media_details.media_id and media.storage_name = media_details.storage_name
        where inspected_at is null and (claimed_until is null or claimed_until < clock_timestamp())
          and account > ${after}
        order by account, attempts, media_id limit 1
        for update of media_details skip locked
      )
      returning media_details.media_id, media_details.storage_name, media.content_type, media.size,
        media_details.account, media_details.attempts
    `.execute(db);
    return rows[0];
  };
  return (await claim(afterAccount)) ?? (afterAccount === '' ? undefined : claim(''));
}

/** Ends a claim without a result, as if it had not been made. */
export async function releaseFile(db: Db, { storageName, attempts }: ClaimedFile): Promise<void> {
  await db
    .updateTable('mediaDetails')
    .set({ claimedUntil: null, attempts: sql<number>`attempts - 1` })
    .where('storageName', '=', storageName)
    // Otherwise another node has claimed it since.
    .where('attempts', '=', attempts)
    .where('inspectedAt', 'is', null)
    .execute();
}

/** Stores what the inspection has found, unless the file was removed meanwhile. */
export async function saveDetails(
  db: Db,
  { storageName }: ClaimedFile,
  details: MediaDetails & Readonly<Pick<MediaDetailsTable, 'preview'>>,
): Promise<void> {
  await db
    .updateTable('mediaDetails')
    .set({ ...details, claimedUntil: null, inspectedAt: now, account: '' })
    .where('storageName', '=', storageName)
    .execute();
}

/** Finds the media of a stored file, with its conversation. Undefined if the file was removed. */
export async function findMediaOfFile(
  db: Db,
  { storageName }: ClaimedFile,
): Promise<{ readonly media: Media; readonly conversationId: ConversationId } | undefined> {
  const row = await db
    .selectFrom('media')
    .innerJoin('messages', 'messages.id', 'media.messageId')
    .select([...MEDIA_COLUMNS, 'messages.conversationId'])
    .where('media.storageName', '=', storageName)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { conversationId, ...media } = row;
  return { media, conversationId };
}

/** Deletes details of removed files that were locked at the removal. Returns how many. */
export async function deleteUnusedDetails(db: Db, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`
    with removed as (
      delete from media_details where storage_name in (
        select storage_name from media_details join unused_details using (storage_name) limit ${limit}
        for update of media_details skip locked
      )
      returning storage_name
    )
    delete from unused_details where storage_name in (select storage_name from removed)
  `.execute(db);
  return Number(numAffectedRows ?? 0);
}

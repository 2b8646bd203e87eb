import type { ActorRef } from '../actor.ts';
import type { Db, Tx } from '../db/database.ts';
import { findByMessages } from '../db/media.ts';
import type { Media, Message, Timestamp } from '../db/tables.ts';
import * as rows from '../db/uploads.ts';
import { invalidInput, notFound } from '../errors.ts';
import type { MediaId } from '../ids.ts';
import { FileTooLargeError } from '../services/media-storage.ts';
import type { PartProgress, PartUploads } from '../services/part-uploads.ts';
import type { Deps } from './deps.ts';
import { requireOwnMessage } from './media.ts';
import { publishStagedFile } from './staged-files.ts';

/** Most characters of a name that a ticket holds. It is shortened when it is stored. */
const MAX_FILENAME_LENGTH = 1_000;

export interface DirectUploadInput {
  readonly mediaId: MediaId;
  readonly filename: string;
  readonly size: number;
}

/** An upload to the storage itself. */
export interface DirectUpload {
  readonly url: string;
  readonly ticket: string;
  readonly expiresAt: Timestamp;
}

/**
 * Starts an upload that does not pass this server; null if the storage takes none. Throws NOT_FOUND unless the actor may
 * read the message, FORBIDDEN unless it is the author, INVALID_INPUT, LIMIT_EXCEEDED, RATE_LIMITED, UNAVAILABLE.
 */
export async function startDirectUpload(
  deps: Deps,
  actor: ActorRef,
  { mediaId, filename, size }: DirectUploadInput,
): Promise<DirectUpload | null> {
  await requireOwnMessage(deps, actor, mediaId);
  if (!Number.isInteger(size) || size < 0)
    throw invalidInput('size', 'The size must be a number of bytes: an integer, not negative.');
  if (size > deps.config.MAX_UPLOAD_BYTES) {
    deps.reportRefusal('upload size', { account: actor });
    throw new FileTooLargeError(deps.config.MAX_UPLOAD_BYTES);
  }
  const upload = await deps.mediaStorage.presignUpload(size, async (name) => {
    await deps.uploadLimits.reserve(actor, size);
    await rows.startUpload(deps.db, name);
  });
  if (upload === undefined) return null;
  const { name: storageName, url, expiresAt } = upload;
  const shortened = filename.slice(-MAX_FILENAME_LENGTH);
  return {
    url,
    ticket: deps.uploadTickets.sign(actor, { mediaId, filename: shortened, size, storageName }),
    expiresAt: new Date(expiresAt).toISOString(),
  };
}

/** Progress of an upload in parts. */
export interface PartUpload extends Omit<PartProgress, 'expiresAt'> {
  readonly expiresAt: Timestamp;
}

/**
 * Starts or resumes an upload of `startDirectUpload` in parts. Throws INVALID_INPUT for a ticket of another account,
 * NOT_FOUND if the upload was finished before or abandoned, and as `startDirectUpload`.
 */
export async function resumeDirectUpload(deps: Deps, actor: ActorRef, ticket: string): Promise<PartUpload> {
  const { storageName, size } = await requireTicket(deps, actor, ticket);
  const { partUploads } = deps.mediaStorage;
  if (partUploads === undefined) throw notFound('The upload');
  const uploadId = await findOrStartParts(deps, partUploads, storageName);
  if (uploadId === undefined) throw notFound('The upload');
  const progress = await partUploads.findProgress(storageName, uploadId, size);
  return { ...progress, expiresAt: new Date(progress.expiresAt).toISOString() };
}

async function findOrStartParts(
  { db }: Deps,
  partUploads: PartUploads,
  storageName: string,
): Promise<string | undefined> {
  const before = await findUnfinished(db, storageName);
  if (before === undefined || before.partUploadId !== null) return before?.partUploadId ?? undefined;
  const uploadId = await partUploads.start(storageName);
  if (await rows.setPartUpload(db, storageName, uploadId)) return uploadId;
  // Another request has started it, or the upload was finished.
  await partUploads.abort(storageName, uploadId);
  return (await findUnfinished(db, storageName))?.partUploadId ?? undefined;
}

async function findUnfinished(db: Db, storageName: string): Promise<rows.RecordedUpload | undefined> {
  const recorded = await rows.findRecorded(db, storageName);
  return recorded?.isFinished === true ? undefined : recorded;
}

/**
 * Records a file that the actor has uploaded to the storage as that of its media, unless it was before. Throws INVALID_INPUT
 * for a ticket of another account, for a file of another size and while parts are missing, NOT_FOUND if no file has arrived or
 * the upload was abandoned, and as `startDirectUpload`.
 */
export async function finishDirectUpload(deps: Deps, actor: ActorRef, ticket: string): Promise<Media> {
  const { message, ...upload } = await requireTicket(deps, actor, ticket);
  const { storageName, size } = upload;
  const recorded = await rows.findRecorded(deps.db, storageName);
  if (recorded === undefined) throw notFound('The upload');
  if (recorded.isFinished) return requireUploaded(deps, message, upload.mediaId);
  if (recorded.partUploadId !== null)
    await deps.mediaStorage.partUploads?.complete(storageName, recorded.partUploadId, size);
  const confirm = async (tx: Tx): Promise<void> => {
    if (await rows.retireUpload(tx, storageName, recorded)) return;
    if ((await findUnfinished(tx, storageName)) === undefined) throw notFound('The upload');
    throw invalidInput('ticket', 'The upload was resumed in parts, which are missing.');
  };
  try {
    return await publishStagedFile(deps, actor, { ...upload, message, confirm });
  } catch (error) {
    // Another node has published the file, and may have removed its bytes since.
    const current = await rows.findRecorded(deps.db, storageName);
    if (current?.isFinished !== true) throw error;
    return requireUploaded(deps, message, upload.mediaId);
  }
}

/** Returns the media of an upload that was finished. Throws NOT_FOUND if it was deleted since. */
async function requireUploaded({ db }: Deps, { id }: Message, mediaId: MediaId): Promise<Media> {
  const media = (await findByMessages(db, [id])).find((item) => item.id === mediaId);
  if (media === undefined) throw notFound('The media');
  return media;
}

/** Returns what a ticket was signed for, and the message. */
async function requireTicket(deps: Deps, actor: ActorRef, ticket: string) {
  const upload = deps.uploadTickets.verify(actor, ticket);
  if (upload === undefined) throw invalidInput('ticket', 'The ticket is not one of `startUpload`.');
  return { ...upload, message: await requireOwnMessage(deps, actor, upload.mediaId) };
}

import type { ActorRef } from '../actor.ts';
import { findMessage } from '../db/media.ts';
import type { Media, Timestamp } from '../db/tables.ts';
import { startUpload as recordStart } from '../db/uploads.ts';
import { invalidInput, notFound } from '../errors.ts';
import type { MediaId } from '../ids.ts';
import { FileTooLargeError } from '../services/media-storage.ts';
import { requireAuthor } from './conversation-access.ts';
import type { Deps } from './deps.ts';
import { discard, recordStoredFile } from './media.ts';

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
    await recordStart(deps.db, name);
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

/**
 * Records a file that the actor has uploaded to the storage as that of its media. Throws INVALID_INPUT for a ticket of
 * another account and for a file of another size, NOT_FOUND if no file has arrived or the upload was finished before, and
 * as `startDirectUpload`.
 */
export async function finishDirectUpload(deps: Deps, actor: ActorRef, ticket: string): Promise<Media> {
  const upload = deps.uploadTickets.verify(actor, ticket);
  if (upload === undefined) throw invalidInput('ticket', 'The ticket is not one of `startUpload`.');
  const message = await requireOwnMessage(deps, actor, upload.mediaId);
  let adoptedName: string | undefined;
  const adopting = deps.mediaStorage.adopt(upload.storageName, upload.size, async (name) => {
    await recordStart(deps.db, name);
    adoptedName = name;
  });
  const stored = await adopting.catch(async (error: unknown) => {
    if (adoptedName !== undefined) await discard(deps, adoptedName).catch(() => undefined);
    throw error;
  });
  const media = await recordStoredFile(deps, actor, message, upload, stored);
  await discard(deps, upload.storageName).catch(() => undefined);
  return media;
}

async function requireOwnMessage(deps: Deps, actor: ActorRef, mediaId: MediaId) {
  const message = await findMessage(deps.db, mediaId);
  if (message === undefined) throw notFound('The media');
  await requireAuthor(deps.db, actor, message, 'The media');
  return message;
}

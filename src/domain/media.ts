import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import * as rows from '../db/media.ts';
import * as messages from '../db/messages.ts';
import type { Media, Message } from '../db/tables.ts';
import { notFound } from '../errors.ts';
import { conversationTopic } from '../events/event.ts';
import { recording } from '../events/record.ts';
import type { MediaId, MessageId } from '../ids.ts';
import type { Actor } from './actor.ts';
import { requireAuthor } from './authorship.ts';
import type { Deps } from './deps.ts';
import { splitFilename } from './filenames.ts';
import type { ByteRange } from './storage.ts';
import { removeUnusedFiles } from './unused-files.ts';

/** A media of a message that the actor may read. Throws NOT_FOUND. */
export async function requireMedia(deps: Deps, actor: Actor, id: MediaId): Promise<Media> {
  return (await requireReadable(deps, actor, id)).media;
}

/** The media of messages that the caller may read, in the order of sending. */
export async function mediaOfMessages(
  deps: Deps,
  ids: readonly MessageId[],
): Promise<ReadonlyMap<MessageId, readonly Media[]>> {
  return Map.groupBy(await rows.findByMessages(deps.db, ids), (media) => media.messageId);
}

export interface Upload {
  readonly mediaId: MediaId;
  /** As the uploader sent it: with a path, or of any length. */
  readonly filename: string;
  readonly content: Readable;
}

/**
 * Stores a file that its message announced, and says so; a second upload replaces the first. Throws NOT_FOUND unless
 * the actor may read the message, FORBIDDEN unless it sent it and still takes part, LIMIT_EXCEEDED, UNAVAILABLE.
 */
export async function uploadMedia(deps: Deps, actor: Actor, upload: Upload): Promise<Media> {
  const message = await rows.findMessage(deps.db, upload.mediaId);
  if (message === undefined) throw notFound('The media');
  // Asked again under the lock: this one only spares whoever may not upload from sending it all.
  await requireAuthor(deps.db, actor, message, 'The media');
  const stored = await deps.storage.write(upload.content, deps.config.MAX_UPLOAD_BYTES);
  const { name: storageName, size, contentType } = stored;
  try {
    const file = { ...splitFilename(upload.filename), size, contentType, storageName };
    const media = await recordUpload(deps, actor, message, upload.mediaId, file);
    await removeUnusedFiles(deps);
    return media;
  } catch (error) {
    // A commit whose answer was lost may have succeeded: then the file is in use.
    const used = await rows.isStored(deps.db, storageName).catch(() => true);
    if (!used) await deps.storage.remove([storageName]);
    throw error;
  }
}

async function recordUpload(
  deps: Deps,
  actor: Actor,
  { id, conversationId }: Message,
  mediaId: MediaId,
  file: rows.UploadedFile,
): Promise<Media> {
  return recording(deps, async (unit) => {
    await unit.lock(conversationTopic(conversationId));
    const message = await messages.findById(unit.tx, id);
    if (message === undefined) throw notFound('The media');
    const author = await requireAuthor(unit.tx, actor, message, 'The media');
    await rows.setUploaded(unit.tx, mediaId, file);
    const media = await rows.findByMessages(unit.tx, [id]);
    const uploaded = media.find((one) => one.id === mediaId);
    if (uploaded === undefined) throw notFound('The media');
    const complete = message.status === 'PENDING' && media.every((one) => one.uploadedAt !== null);
    const current = complete ? await messages.setDone(unit.tx, id) : message;
    unit.emit({ type: 'media.uploaded', uploaded, message: current, author, media });
    return uploaded;
  });
}

const VERSION_LENGTH = 27;

/** A stored file, ready to be served whole or in part. */
export interface OpenedMedia {
  readonly media: Media;
  /** Of its content: a replacement has another one. */
  readonly version: string;
  readonly size: number;
  readonly contentType: string;
  /** Opens the file, or a part of it; the caller consumes or destroys what it gets. */
  read(range?: ByteRange): Promise<Readable>;
}

/** Opens the file of a media that the actor may read. Throws NOT_FOUND, also while it is not uploaded. */
export async function openMedia(deps: Deps, actor: Actor, id: MediaId): Promise<OpenedMedia> {
  const { media, storageName } = await requireReadable(deps, actor, id);
  if (storageName === null || media.size === null || media.contentType === null) throw notFound('The media');
  return {
    media,
    // Not the name itself, which says where the file is.
    version: createHash('sha256').update(storageName).digest('base64url').slice(0, VERSION_LENGTH),
    size: media.size,
    contentType: media.contentType,
    read: (range) => deps.storage.read(storageName, range),
  };
}

async function requireReadable(deps: Deps, actor: Actor, id: MediaId) {
  const found = await rows.findReadable(deps.db, actor, id);
  if (found === undefined) throw notFound('The media');
  return found;
}

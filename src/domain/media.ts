import type { Readable } from 'node:stream';
import { findBlock } from '../db/account-blocks.ts';
import type { Tx } from '../db/database.ts';
import * as rows from '../db/media.ts';
import * as details from '../db/media-details.ts';
import type { MediaDetails } from '../db/media-details.ts';
import * as messages from '../db/messages.ts';
import type { Media, Message } from '../db/tables.ts';
import { findRecorded, finishUpload, startUpload } from '../db/uploads.ts';
import { notFound, unauthenticated } from '../errors.ts';
import { conversationTopic } from '../events/event.ts';
import { eraseFormerFile } from '../events/erasure.ts';
import { transact } from '../events/unit-of-work.ts';
import type { MediaId, MessageId } from '../ids.ts';
import { requireAuthor } from './conversation-access.ts';
import type { Deps } from './deps.ts';
import { FileTooLargeError } from '../services/media-storage.ts';
import type { StoredFile } from '../services/media-storage.ts';
import { removeUnusedFiles } from '../services/retention.ts';
import type { ActorRef } from '../actor.ts';
import { looksEmpty } from '../lib/text.ts';

/** Finds the media of messages, in the order of sending, without an access check. */
export async function findMediaByMessages(
  deps: Deps,
  ids: readonly MessageId[],
): Promise<ReadonlyMap<MessageId, readonly Media[]>> {
  return Map.groupBy(await rows.findByMessages(deps.db, ids), (media) => media.messageId);
}

/** Finds what the bytes of inspected files tell, without an access check. */
export async function findMediaDetails(
  deps: Deps,
  ids: readonly MediaId[],
): Promise<ReadonlyMap<MediaId, MediaDetails>> {
  return new Map((await details.findDetails(deps.db, ids)).map((found) => [found.mediaId, found]));
}

/** Finds the previews of images, in WebP, without an access check. */
export async function findPreviews(
  deps: Deps,
  ids: readonly MediaId[],
): Promise<ReadonlyMap<MediaId, Buffer>> {
  return new Map(
    (await details.findPreviews(deps.db, ids)).map(({ mediaId, preview }) => [mediaId, preview]),
  );
}

export interface Upload {
  readonly mediaId: MediaId;
  /** As sent by the client: may contain a path, and be of any length. */
  readonly filename: string;
  readonly content: Readable;
}

/**
 * Stores the file of a pending media; a second upload replaces the first. Throws NOT_FOUND unless the actor may read
 * the message, FORBIDDEN unless it is the author and still takes part, LIMIT_EXCEEDED, RATE_LIMITED, UNAVAILABLE.
 */
export async function uploadMedia(deps: Deps, actor: ActorRef, upload: Upload): Promise<Media> {
  // Checked again under the lock: this first check only rejects an upload before its content is read.
  const message = await requireOwnMessage(deps, actor, upload.mediaId);
  return recordStoredFile(deps, actor, { ...upload, message }, await store(deps, actor, upload.content));
}

/** Returns the message of a media. Throws NOT_FOUND unless the actor may read it, FORBIDDEN unless it is the author. */
export async function requireOwnMessage(deps: Deps, actor: ActorRef, mediaId: MediaId): Promise<Message> {
  const message = await rows.findMessage(deps.db, mediaId);
  if (message === undefined) throw notFound('The media');
  await requireAuthor(deps.db, actor, message, 'The media');
  return message;
}

/** The media that a stored file is for. */
export interface FileTarget extends Pick<Upload, 'mediaId' | 'filename'> {
  readonly message: Message;
  /** Called in the transaction that records the file, which is rolled back if it throws. */
  readonly confirm?: (tx: Tx) => Promise<void>;
}

/** Records a stored file as that of a media. Removes the file if that fails. */
export async function recordStoredFile(
  deps: Deps,
  actor: ActorRef,
  target: FileTarget,
  { name: storageName, size, contentType }: StoredFile,
): Promise<Media> {
  try {
    const file = { ...splitFilename(target.filename), size, contentType, storageName };
    const media = await recordUpload(deps, actor, target, file);
    await removeUnusedFiles(deps);
    deps.mediaInspections?.wake();
    return media;
  } catch (error) {
    // If the connection was lost during the commit, it may have succeeded: then the file is in use.
    const isUsed = await rows.isStored(deps.db, storageName).catch(() => true);
    if (!isUsed) {
      await discard(deps, storageName);
    }
    throw error;
  }
}

/** Removes a file that no media refers to, and its parts. Should this fail, the retention retries. */
export async function discard({ db, mediaStorage }: Deps, storageName: string): Promise<void> {
  const partUploadId = (await findRecorded(db, storageName))?.partUploadId ?? undefined;
  const hadParts =
    partUploadId !== undefined &&
    (await mediaStorage.partUploads?.abort(storageName, partUploadId)) === false;
  await mediaStorage.remove([storageName]);
  if (hadParts) return;
  await finishUpload(db, storageName);
}

/** Stores the content within the limits of the account. */
async function store(deps: Deps, actor: ActorRef, content: Readable): Promise<StoredFile> {
  let startedName: string | undefined;
  try {
    return await deps.uploadLimits.run(actor, content, (metered) =>
      deps.mediaStorage.write(metered, deps.config.MAX_UPLOAD_BYTES, async (name, partUploadId) => {
        await startUpload(deps.db, name, partUploadId);
        startedName = name;
      }),
    );
  } catch (error) {
    if (error instanceof FileTooLargeError) deps.reportRefusal('upload size', { account: actor });
    if (startedName !== undefined) await discard(deps, startedName).catch(() => undefined);
    throw error;
  }
}

async function recordUpload(
  deps: Deps,
  actor: ActorRef,
  { message: { id, conversationId }, mediaId, confirm }: FileTarget,
  file: rows.UploadedFile,
): Promise<Media> {
  return transact(deps, async (unit) => {
    await unit.lock(conversationTopic(conversationId));
    const message = await messages.findById(unit.tx, id);
    if (message === undefined) throw notFound('The media');
    // An upload takes minutes.
    if ((await findBlock(unit.tx, actor)) !== undefined) throw unauthenticated();
    const author = await requireAuthor(unit.tx, actor, message, 'The media');
    const before = await rows.findByMessages(unit.tx, [id]);
    const isReplacement = before.some((item) => item.id === mediaId && item.uploadedAt !== null);
    await confirm?.(unit.tx);
    await rows.setUploaded(unit.tx, mediaId, file);
    // Without its record the retention removes the file.
    if (!(await finishUpload(unit.tx, file.storageName))) throw notFound('The upload');
    const media = await rows.findByMessages(unit.tx, [id]);
    const uploaded = media.find((item) => item.id === mediaId);
    if (uploaded === undefined) throw notFound('The media');
    const isComplete = message.status === 'PENDING' && media.every((item) => item.uploadedAt !== null);
    const current = isComplete ? await messages.setDone(unit.tx, id) : message;
    if (isReplacement) await eraseFormerFile(unit.tx, current, media, mediaId);
    unit.emit({ type: 'media.uploaded', uploaded, message: current, author, media });
    return uploaded;
  });
}

const MAX_FILENAME_LENGTH = 120;
const MAX_EXTENSION_LENGTH = 10;
/** Control characters, those that make a name read backwards, and those that hide how a name ends. */
const UNSAFE_CHARACTERS =
  /[\p{Cc}\p{Noncharacter_Code_Point}\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]/gu;
/** Reserved device names of Windows, which cannot save such a file whatever its extension. */
const RESERVED_NAME = /^(con|prn|aux|nul|com[\d¹²³]|lpt[\d¹²³])(?=\.|$)/i;

/**
 * Sanitises an uploaded filename and splits it into name and extension (with its dot). Drops directories and unsafe
 * characters. Text after the last dot that is too long for an extension stays in the name.
 */
export function splitFilename(uploaded: string): { readonly filename: string; readonly extension: string } {
  const last = uploaded.toWellFormed().replace(UNSAFE_CHARACTERS, '').split(/[/\\]/).at(-1) ?? '';
  const base = last.normalize('NFC').trim().replace(RESERVED_NAME, '_$&');
  const dot = base.lastIndexOf('.');
  const extension =
    dot > 0 && base.length - dot <= MAX_EXTENSION_LENGTH && /^\.\S+$/.test(base.slice(dot))
      ? base.slice(dot)
      : '';
  const name = extension === '' ? base : base.slice(0, dot);
  return {
    filename: Array.from(looksEmpty(name.replaceAll('.', '')) ? 'file' : name)
      .slice(0, MAX_FILENAME_LENGTH)
      .join(''),
    extension,
  };
}

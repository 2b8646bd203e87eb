import type { Readable } from 'node:stream';
import { actorKey } from '../actor.ts';
import type { ActorRef } from '../actor.ts';
import type { Tx } from '../db/database.ts';
import * as rows from '../db/resumable-uploads.ts';
import type { ResumableUpload } from '../db/resumable-uploads.ts';
import { startUpload as recordStart } from '../db/uploads.ts';
import { conflict, DomainError, notFound } from '../errors.ts';
import { FileTooLargeError } from '../services/media-storage.ts';
import type { PartialFiles } from '../services/partial-files.ts';
import { removeUnusedFiles } from '../services/retention.ts';
import { uploadLifetimeMs } from '../services/upload-lifetime.ts';
import type { Deps } from './deps.ts';
import { requireOwnMessage } from './media.ts';
import { publishStagedFile } from './staged-files.ts';
import { parseUploadMetadata } from './upload-metadata.ts';

export type { ResumableUpload } from '../db/resumable-uploads.ts';

export interface NewResumableUpload {
  /** The name of the file and the id of its media, as `parseUploadMetadata` reads them. */
  readonly metadata: string;
  readonly size: number;
}

export interface UploadPiece {
  readonly offset: number;
  readonly content: Readable;
}

/** Uploads that survive their connection, and the node that it was to. */
export interface ResumableUploads {
  /**
   * Starts an upload, in place of an unfinished one of the same media. Throws NOT_FOUND unless the actor may read the
   * message, and if the storage takes no such uploads; FORBIDDEN unless it is the author; INVALID_INPUT, LIMIT_EXCEEDED,
   * RATE_LIMITED, UNAVAILABLE.
   */
  start(actor: ActorRef, upload: NewResumableUpload): Promise<ResumableUpload>;
  /** Returns an upload, and ends a call that adds to it on this node. Throws NOT_FOUND, FORBIDDEN, UNAVAILABLE. */
  find(actor: ActorRef, id: string): Promise<ResumableUpload>;
  /**
   * Adds bytes, and publishes the file when it is complete. A later call for the same upload ends this one. Throws CONFLICT
   * unless the upload has arrived at the offset, INVALID_INPUT above its size, and as `start`.
   */
  append(actor: ActorRef, id: string, piece: UploadPiece): Promise<ResumableUpload>;
  /** Removes an upload. Throws NOT_FOUND, FORBIDDEN. */
  remove(actor: ActorRef, id: string): Promise<void>;
}

/** A call of `append` in progress. */
interface Append {
  readonly content: Readable;
  readonly ended: Promise<unknown>;
}

export function createResumableUploads(deps: Deps): ResumableUploads {
  const appends = new Map<string, Append>();
  const keyOf = (actor: ActorRef, id: string): string => `${actorKey(actor)} ${id}`;
  /** Ends the call that adds to the upload: its client does not wait for it any more. What it received is durable. */
  const endAppend = async (key: string): Promise<void> => {
    for (let former = appends.get(key); former !== undefined; former = appends.get(key)) {
      former.content.destroy(conflict('Another request continues this upload.'));
      await former.ended.catch(() => undefined);
    }
  };
  const requireUpload = async (actor: ActorRef, id: string): Promise<ResumableUpload> => {
    const upload = await rows.findUpload(deps.db, actorKey(actor), id);
    if (upload === undefined) throw notFound('The upload');
    return upload;
  };
  const append = async (
    actor: ActorRef,
    id: string,
    { offset, content }: UploadPiece,
  ): Promise<ResumableUpload> => {
    const partialFiles = requirePartialFiles(deps);
    const { mediaId, size, received, isFinished } = await requireUpload(actor, id);
    await requireOwnMessage(deps, actor, mediaId);
    const writer = crypto.randomUUID();
    const isRepeated = isFinished && offset === received;
    if (!isRepeated && !(await rows.claimUpload(deps.db, id, { writer, offset })))
      throw conflict('The upload has arrived at another offset. Query it with HEAD.');
    const onDurable = async (end: number): Promise<void> => {
      if (!(await rows.advanceUpload(deps.db, id, { writer, received: end })))
        throw conflict('Another request continues this upload, or has removed it.');
    };
    if (offset < size)
      await deps.uploadLimits.run(actor, content, (metered) =>
        partialFiles.append(id, { offset, content: metered, size, onDurable }),
      );
    return completeIfWhole(deps, actor, await requireUpload(actor, id));
  };

  return {
    async start(actor, { metadata, size }) {
      const partialFiles = requirePartialFiles(deps);
      const { mediaId } = parseUploadMetadata(metadata);
      await requireOwnMessage(deps, actor, mediaId);
      if (size > deps.config.MAX_UPLOAD_BYTES) {
        deps.reportRefusal('upload size', { account: actor });
        throw new FileTooLargeError(deps.config.MAX_UPLOAD_BYTES);
      }
      await deps.uploadLimits.requireQuota(actor, size);
      const storageName = await partialFiles.create((name) => recordStart(deps.db, name));
      const upload = {
        storageName,
        mediaId,
        metadata,
        size,
        account: actorKey(actor),
        lifetimeMs: uploadLifetimeMs(size),
      };
      await rows.addUpload(deps.db, upload);
      await removeUnusedFiles(deps);
      return completeIfWhole(deps, actor, await requireUpload(actor, storageName));
    },
    async find(actor, id) {
      await endAppend(keyOf(actor, id));
      const upload = await requireUpload(actor, id);
      await requireOwnMessage(deps, actor, upload.mediaId);
      return completeIfWhole(deps, actor, upload);
    },
    async append(actor, id, piece) {
      piece.content.on('error', () => undefined);
      const key = keyOf(actor, id);
      // Others may have waited for the same call.
      while (appends.has(key)) await endAppend(key);
      const ended = append(actor, id, piece).finally(() => appends.delete(key));
      appends.set(key, { content: piece.content, ended });
      return ended;
    },
    async remove(actor, id) {
      const { mediaId } = await requireUpload(actor, id);
      await requireOwnMessage(deps, actor, mediaId);
      await rows.removeUpload(deps.db, id);
      await removeUnusedFiles(deps);
    },
  };
}

function requirePartialFiles({ mediaStorage }: Deps): PartialFiles {
  if (mediaStorage.partialFiles === undefined)
    throw new DomainError(
      'NOT_FOUND',
      'This server has no such uploads. Use `startUpload` and `resumeUpload`.',
    );
  return mediaStorage.partialFiles;
}

/** Publishes the file of an upload that has arrived, unless it was published before. */
async function completeIfWhole(
  deps: Deps,
  actor: ActorRef,
  upload: ResumableUpload,
): Promise<ResumableUpload> {
  const { storageName, mediaId, metadata, size, received, isFinished } = upload;
  if (isFinished || received < size) return upload;
  const message = await requireOwnMessage(deps, actor, mediaId);
  const { filename } = parseUploadMetadata(metadata);
  const confirm = async (tx: Tx): Promise<void> => {
    if (!(await rows.setFinished(tx, storageName)))
      throw conflict('The upload was finished or removed before.');
  };
  try {
    await publishStagedFile(deps, actor, { message, mediaId, filename, size, storageName, confirm });
  } catch (error) {
    // Another request has published the file, and may have removed its bytes since.
    const current = await rows.findUpload(deps.db, actorKey(actor), storageName);
    if (current?.isFinished !== true) throw error;
  }
  return { ...upload, isFinished: true };
}

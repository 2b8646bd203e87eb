import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { ActorRef, Session } from '../actor.ts';
import * as rows from '../db/media.ts';
import type { Media } from '../db/tables.ts';
import { DomainError, forbidden, notFound } from '../errors.ts';
import type { MediaId } from '../ids.ts';
import type { ByteRange, DownloadHeaders } from '../services/media-storage.ts';
import { isActiveSession } from './authentication.ts';
import type { Deps } from './deps.ts';

/** Returns a media. Throws NOT_FOUND unless the actor may read its message. */
export async function requireMedia(deps: Deps, actor: ActorRef, id: MediaId): Promise<Media> {
  return (await requireReadable(deps, actor, id)).media;
}

const VERSION_LENGTH = 27;

/** A stored file, to be served whole or in part. */
export interface OpenedMedia {
  readonly media: Media;
  /** Identifies the content: a replaced file has another version. */
  readonly version: string;
  readonly size: number;
  readonly contentType: string;
  /** Opens the file, or a range of it. The caller consumes or destroys the stream. */
  read(range?: ByteRange): Promise<Readable>;
  /** Returns a URL of the storage itself, for a short time; undefined if there is none. */
  presign(headers: DownloadHeaders): Promise<string | undefined>;
}

/** Opens the file of a media. Throws NOT_FOUND unless the actor may read it and it is uploaded. */
export async function openMedia(deps: Deps, actor: ActorRef, id: MediaId): Promise<OpenedMedia> {
  const { media, storageName } = await requireReadable(deps, actor, id);
  if (storageName === null || media.size === null || media.contentType === null) throw notFound('The media');
  return {
    media,
    // Hashed: the storage name is internal.
    version: createHash('sha256').update(storageName).digest('base64url').slice(0, VERSION_LENGTH),
    size: media.size,
    contentType: media.contentType,
    read: (range) => deps.mediaStorage.read(storageName, range),
    presign: (headers) => deps.mediaStorage.presignDownload(storageName, headers),
  };
}

/** Returns a path with which the holder of the session can read the file without a header; null until it is uploaded. */
export const signMediaUrl = (deps: Deps, session: Session, { id, uploadedAt }: Media): string | null =>
  uploadedAt === null ? null : deps.mediaUrls.sign(session, id);

/** Returns the account that a URL was signed for. Throws FORBIDDEN unless its session is still active. */
export async function requireUrlHolder(deps: Deps, id: MediaId, signature: string): Promise<ActorRef> {
  const session = deps.mediaUrls.verify(id, signature);
  if (session === undefined || !(await isActiveSession(deps, session))) throw urlRefusedError();
  return session.actor;
}

/** Opens the file for the holder of a URL. Throws FORBIDDEN unless the holder may still read it. */
export async function openMediaByUrl(deps: Deps, holder: ActorRef, id: MediaId): Promise<OpenedMedia> {
  try {
    return await openMedia(deps, holder, id);
  } catch (error) {
    if (error instanceof DomainError && error.code === 'NOT_FOUND') throw urlRefusedError();
    throw error;
  }
}

/** One for all reasons: that a file exists is for its readers only. */
const urlRefusedError = (): DomainError =>
  forbidden('The URL is not valid, or no longer. Query `Media.url` again.');

async function requireReadable(deps: Deps, actor: ActorRef, id: MediaId) {
  const found = await rows.findReadable(deps.db, actor, id);
  if (found === undefined) throw notFound('The media');
  return found;
}

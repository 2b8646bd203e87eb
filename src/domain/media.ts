import type { Readable } from 'node:stream';
import type { Media } from '../db/tables.ts';
import type { MediaId, MessageId } from '../ids.ts';
import type { Actor } from './actor.ts';
import type { Deps } from './deps.ts';
import type { ByteRange } from './storage.ts';

/** A media of a message that the actor may read. Throws NOT_FOUND. */
export async function requireMedia(deps: Deps, actor: Actor, id: MediaId): Promise<Media> {
  throw new Error(`not written: ${String([deps, actor, id])}`);
}

/** The media of messages that the caller may read, in the order of sending. */
export async function mediaOfMessages(
  deps: Deps,
  ids: readonly MessageId[],
): Promise<ReadonlyMap<MessageId, readonly Media[]>> {
  throw new Error(`not written: ${String([deps, ids])}`);
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
  throw new Error(`not written: ${String([deps, actor, upload])}`);
}

/** A stored file, ready to be served whole or in part. */
export interface OpenedMedia {
  readonly media: Media;
  readonly size: number;
  readonly contentType: string;
  /** Opens the file, or a part of it; the caller consumes or destroys what it gets. */
  read(range?: ByteRange): Promise<Readable>;
}

/** Opens the file of a media that the actor may read. Throws NOT_FOUND, also while it is not uploaded. */
export async function openMedia(deps: Deps, actor: Actor, id: MediaId): Promise<OpenedMedia> {
  throw new Error(`not written: ${String([deps, actor, id])}`);
}

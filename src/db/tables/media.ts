import type { Generated, GeneratedAlways } from 'kysely';
import type { MediaId, MessageId } from '../../ids.ts';
import type { CreatedAt, Timestamp } from './types.ts';

export interface MediaTable {
  id: GeneratedAlways<MediaId>;
  messageId: MessageId;
  /** Client-side identifier of the file, from the send. */
  identifier: string;
  filename: string | null;
  extension: string | null;
  contentType: string | null;
  size: number | null;
  storageName: string | null;
  uploadedAt: Timestamp | null;
}

/** Stored images, audio and video: to be inspected, or what the inspection found. Filled by a trigger on `media`. */
export interface MediaDetailsTable {
  storageName: string;
  /** May refer to another file by now, or no longer exist. */
  mediaId: MediaId;
  /** Its author, until it is inspected. */
  account: string;
  /** How often a node has claimed the file. */
  attempts: number;
  claimedUntil: Timestamp | null;
  inspectedAt: Timestamp | null;
  /** Pixels, as displayed. */
  width: number | null;
  height: number | null;
  /** Seconds. */
  duration: number | null;
  /** A WebP image. */
  preview: Buffer | null;
}

/** Removed files whose details were locked then, and remain to be deleted. Filled by a trigger on `unused_files`. */
export interface UnusedDetailsTable {
  storageName: string;
}

/** Stored files without a media row, to be deleted. Filled by a trigger on `media`. */
export interface UnusedFilesTable {
  storageName: string;
}

/** Bytes that accounts uploaded, by day in UTC. */
export interface UploadUsageTable {
  /** Topic of the account. */
  account: string;
  day: string;
  bytes: number;
}

/** Files that are being stored, or that may be left behind, and to which no media refers. */
export interface UnfinishedUploadsTable {
  storageName: string;
  startedAt: CreatedAt;
  /** Id in the storage of an upload in parts, which must be aborted. */
  partUploadId: Generated<string | null>;
  /** Whether a media has a copy. Its client may store the file again until the URL expires. */
  isFinished: Generated<boolean>;
}

/** Uploads that arrive in several requests, in order. */
export interface ResumableUploadsTable {
  mediaId: MediaId;
  /** Under which the bytes are stored that have arrived. */
  storageName: string;
  /** Topic of the account. */
  account: string;
  /** As sent by the client: the name of the file, among others. */
  metadata: string;
  size: number;
  /** Bytes that survive a crash. */
  received: Generated<number>;
  /** The request that may add bytes: the newest. */
  writer: string | null;
  isFinished: Generated<boolean>;
  expiresAt: Timestamp;
}

import type { Readable } from 'node:stream';

/** A part of a file, both ends included. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** A file that was stored whole. */
export interface StoredFile {
  /** Where it is; never what the sender called it. */
  readonly name: string;
  readonly size: number;
  readonly contentType: string;
}

/** Where the files of messages are kept. */
export interface MediaStorage {
  /**
   * Stores the content under a new name. Nothing is left of what does not arrive whole. Throws LIMIT_EXCEEDED for
   * more than `maxBytes`, UNAVAILABLE when there is no room, and what the content's stream throws.
   */
  write(content: Readable, maxBytes: number): Promise<StoredFile>;
  /** Opens a stored file, or a part of it. Throws NOT_FOUND when it is not there. */
  read(name: string, range?: ByteRange): Promise<Readable>;
  /** Removes files; those that are not there are none of its concern. */
  remove(names: readonly string[]): Promise<void>;
}

/** Keeps files in a folder, which is made when it is not there, and clears it of what an earlier process left half-written. */
export async function createFolderStorage(dir: string): Promise<MediaStorage> {
  throw new Error(`not written: ${dir}`);
}

import type { Readable } from 'node:stream';
import { DomainError } from '../errors.ts';
import { detectContentType, SNIFFED_BYTES } from './content-type.ts';
import type { PartUploads } from './part-uploads.ts';
import type { PartialFiles } from './partial-files.ts';

/** A byte range, both ends inclusive. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** A URL for the upload of one file, until it expires. */
export interface PresignedUpload {
  readonly name: string;
  readonly url: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** Headers of a download from a driver's own URL. */
export interface DownloadHeaders {
  readonly contentType: string;
  readonly disposition: string;
}

export interface StoredFile {
  /** Key under which the driver stored the file; chosen by the driver, never the uploader's filename. */
  readonly name: string;
  readonly size: number;
  /** MIME type detected from the content; the type that the client declared is ignored. */
  readonly contentType: string;
}

/**
 * Records what is about to be stored, so that it is removed should the process end. Called with a name before anything is stored
 * under it, and again with the id of its upload in parts before the first part.
 */
export type RecordName = (name: string, partUploadId?: string) => Promise<void>;

/**
 * Stores the files of messages. To add a driver, implement this interface in `media-storage-<kind>.ts`, choose it in
 * `openMediaStorage` (app/media-storage.ts), and add it to test/services/media-storage.test.ts. The database decides which
 * files exist: a driver needs no listing, and no rename.
 *
 * Disposal waits for writes in flight and for the cleanup of failed ones.
 */
export interface MediaStorage extends AsyncDisposable {
  /**
   * Stores the content under a new name and resolves when it is durable. Stores nothing if the content fails or ends early. Throws LIMIT_EXCEEDED above `maxBytes`, UNAVAILABLE when
   * the storage is full or read-only, and rethrows errors of the content stream.
   */
  write(content: Readable, maxBytes: number, onName?: RecordName): Promise<StoredFile>;
  /** Opens a file, or a range of it. Throws NOT_FOUND if there is no such file. */
  read(name: string, range?: ByteRange): Promise<Readable>;
  /** Removes files. Ignores missing ones, as removals are retried. */
  remove(names: readonly string[]): Promise<void>;
  /**
   * Chooses a name, and returns a URL to which the client PUTs a file of exactly this size itself; undefined if the driver
   * takes none. Calls `onName` as `write` does.
   */
  presignUpload(size: number, onName: (name: string) => Promise<void>): Promise<PresignedUpload | undefined>;
  /**
   * Stores a file of `presignUpload` or `partialFiles` under a new name, which its client cannot write to: the URL stays
   * valid for a while, and a request on another node may still be writing. Calls `onName` as `write` does. Throws NOT_FOUND
   * if there is no such file, INVALID_INPUT if it has another size. The caller removes the original, and the new file if
   * this throws after `onName`.
   */
  adopt(name: string, size: number, onName: RecordName): Promise<StoredFile>;
  /** Undefined if files cannot grow, as in a bucket. */
  readonly partialFiles?: PartialFiles;
  /** Undefined if clients do not upload to the storage themselves. */
  readonly partUploads?: PartUploads;
  /** Returns a URL at which anyone can download the file for a short time; undefined if the driver has none. */
  presignDownload(name: string, headers: DownloadHeaders): Promise<string | undefined>;
}

const STORED_NAME = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Returns a name from the database. Throws for a corrupt one, which might lead out of the storage. */
export function requireStoredName(name: string): string {
  if (!STORED_NAME.test(name)) throw new Error(`Invalid name of a stored file: ${name}`);
  return name;
}

export interface ContentInspector {
  /** A stage for `stream.pipeline`. Throws LIMIT_EXCEEDED once the content is larger than allowed. */
  readonly passThrough: (chunks: AsyncIterable<Uint8Array | string>) => AsyncGenerator<Uint8Array>;
  /** Returns the size and the detected type, once the content has passed. */
  describe(): Promise<Omit<StoredFile, 'name'>>;
}

/** Measures, limits and sniffs content while it streams to a driver. */
export function inspectContent(maxBytes: number): ContentInspector {
  let size = 0;
  let head = Buffer.alloc(0);
  return {
    async *passThrough(chunks) {
      for await (const part of chunks) {
        const chunk = typeof part === 'string' ? Buffer.from(part) : part;
        size += chunk.length;
        if (size > maxBytes) throw new FileTooLargeError(maxBytes);
        if (head.length < SNIFFED_BYTES) head = Buffer.concat([head, chunk]).subarray(0, SNIFFED_BYTES);
        yield chunk;
      }
    },
    describe: async () => ({ size, contentType: await detectContentType(head) }),
  };
}

export class FileTooLargeError extends DomainError {
  constructor(maxBytes: number) {
    super('LIMIT_EXCEEDED', `A file may have at most ${maxBytes} bytes.`, { limit: 'MAX_UPLOAD_BYTES' });
  }
}

/** A part of a file that has not arrived. */
export interface MissingPart {
  /** From 1. */
  readonly number: number;
  readonly offset: number;
  readonly size: number;
  readonly url: string;
}

/** Progress of an upload in parts. */
export interface PartProgress {
  readonly received: number;
  /** The first parts that have not arrived. */
  readonly parts: readonly MissingPart[];
  /** When the URLs of the parts expire, in milliseconds since 1970. */
  readonly expiresAt: number;
}

/** Uploads in parts, which clients PUT to the storage in any order, and again if their connection was cut. */
export interface PartUploads {
  /** Starts an upload in parts of a file of `presignUpload`. Returns its id. */
  start(name: string): Promise<string>;
  /** Returns what has arrived, and URLs for what has not; none if the upload was completed, or aborted. */
  findProgress(name: string, uploadId: string, size: number): Promise<PartProgress>;
  /** Joins the parts to the file, unless it has been done. Throws INVALID_INPUT while parts are missing. */
  complete(name: string, uploadId: string, size: number): Promise<void>;
  /**
   * Removes what has arrived. Returns whether nothing had to be removed, as the upload was completed or aborted. Otherwise abort
   * it again later: a part that is arriving may stay.
   */
  abort(name: string, uploadId: string): Promise<boolean>;
}

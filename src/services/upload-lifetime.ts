const DAY_MS = 86_400_000;
/** The least rate that an upload must have, a weak mobile signal. */
export const MIN_UPLOAD_BYTES_PER_MS = 2;

/** Returns the longest time for the upload of a file: a day, and what its bytes take at the least rate. */
export const uploadLifetimeMs = (bytes: number): number =>
  Math.ceil(DAY_MS + bytes / MIN_UPLOAD_BYTES_PER_MS);

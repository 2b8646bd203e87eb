import { open, statfs } from 'node:fs/promises';
import { DomainError } from '../errors.ts';

/** Uploads leave this share of the disk free, at most `MAX_RESERVED_BYTES`. */
const MIN_FREE_SHARE = 0.05;
const MAX_RESERVED_BYTES = 1024 ** 3;
const NO_SPACE_CODES: readonly unknown[] = ['ENOSPC', 'EDQUOT', 'EROFS'];

/** Throws UNAVAILABLE when uploads have filled the disk up to the share that the database and others need. */
export async function requireFreeSpace(dir: string): Promise<void> {
  const { bavail, blocks, bsize } = await statfs(dir);
  if (bavail * bsize < Math.min(blocks * bsize * MIN_FREE_SHARE, MAX_RESERVED_BYTES))
    throw storageFullError();
}

/** Syncs the directory entry: without it a power cut can lose a file whose upload was acknowledged. */
export async function syncFolder(dir: string): Promise<void> {
  if (process.platform === 'win32') return;
  await using folder = await open(dir);
  await folder.sync();
}

/** Whether an error means that there is no such file. */
export const isMissing = (error: unknown): boolean => codeOf(error) === 'ENOENT';

/** Returns UNAVAILABLE for a full or read-only disk, and other errors as they are. */
export const toStorageError = (error: unknown): unknown =>
  NO_SPACE_CODES.includes(codeOf(error)) ? storageFullError() : error;

const codeOf = (error: unknown): unknown =>
  error instanceof Error && 'code' in error ? error.code : undefined;

const storageFullError = (): DomainError =>
  new DomainError('UNAVAILABLE', 'The media storage is full. Try again later.');

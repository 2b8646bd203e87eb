import { createWriteStream } from 'node:fs';
import { access, constants, mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { DomainError, notFound } from '../errors.ts';
import { PendingWork } from '../lib/pending-work.ts';
import { inspectContent, requireStoredName } from './media-storage.ts';
import type { MediaStorage, StoredFile } from './media-storage.ts';

const PART_SUFFIX = '.part';
/** In a shared folder, a partial file untouched for this long belongs to no running process. */
const ABANDONED_MS = 3_600_000;
/** Uploads leave this share of the disk free, at most `MAX_RESERVED_BYTES`. */
const MIN_FREE_SHARE = 0.05;
const MAX_RESERVED_BYTES = 1024 ** 3;
const NO_SPACE_CODES: readonly unknown[] = ['ENOSPC', 'EDQUOT', 'EROFS'];

/**
 * Opens a storage in a folder, creating it if missing, and removes partial files of earlier processes. With `shared`,
 * other processes use the folder too: only partial files untouched for an hour are removed.
 */
export async function createFolderStorage(dir: string, shared = false): Promise<MediaStorage> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await access(dir, constants.R_OK | constants.W_OK);
  await removePartialFiles(dir, shared ? (await readStorageClock(dir)) - ABANDONED_MS : Infinity);
  const pathOf = (name: string): string => join(dir, requireStoredName(name));
  const store = async (
    content: Readable,
    maxBytes: number,
    onName?: (name: string) => Promise<void>,
  ): Promise<StoredFile> => {
    // An error before the pipeline starts is thrown by it.
    content.on('error', () => undefined);
    const name = crypto.randomUUID();
    const partial = pathOf(name) + PART_SUFFIX;
    try {
      await requireFreeSpace(dir);
      await onName?.(name);
      const inspector = inspectContent(maxBytes);
      await writeFile(partial, content, inspector.passThrough);
      await rename(partial, pathOf(name));
      await syncFolder(dir);
      return { name, ...(await inspector.describe()) };
    } catch (error) {
      await Promise.all([partial, pathOf(name)].map((path) => rm(path, { force: true })));
      throw toDomainError(error);
    }
  };
  const writes = new PendingWork();
  return {
    write: (content, maxBytes, onName) => writes.run(() => store(content, maxBytes, onName)),
    async read(name, range) {
      try {
        const file = await open(pathOf(name));
        return file.createReadStream(range === undefined ? {} : { start: range.start, end: range.end });
      } catch (error) {
        throw codeOf(error) === 'ENOENT' ? notFound('The file') : error;
      }
    },
    async remove(names) {
      await Promise.all(names.map((name) => rm(pathOf(name), { force: true })));
    },
    // Only this server uses the folder.
    presignDownload: () => Promise.resolve(undefined),
    presignUpload: () => Promise.resolve(undefined),
    adopt: () => Promise.reject(notFound('The upload')),
    [Symbol.asyncDispose]: () => writes.settle(),
  };
}

/** Throws UNAVAILABLE when uploads have filled the disk up to the share that the database and others need. */
async function requireFreeSpace(dir: string): Promise<void> {
  const { bavail, blocks, bsize } = await statfs(dir);
  if (bavail * bsize < Math.min(blocks * bsize * MIN_FREE_SHARE, MAX_RESERVED_BYTES))
    throw storageFullError();
}

async function writeFile(
  path: string,
  content: Readable,
  transform: (chunks: AsyncIterable<Uint8Array | string>) => AsyncGenerator<Uint8Array>,
): Promise<void> {
  const file = createWriteStream(path, { flags: 'wx', mode: 0o600, flush: true });
  try {
    await pipeline(content, transform, file);
  } finally {
    // On an early failure the file may still be opening: removing it before it exists would leave it behind.
    if (!file.closed) await new Promise<void>((resolve) => void file.once('close', resolve));
  }
}

/** Syncs the directory entry: without it a power cut can lose a file whose upload was acknowledged. */
async function syncFolder(dir: string): Promise<void> {
  if (process.platform === 'win32') return;
  await using folder = await open(dir);
  await folder.sync();
}

/** Returns the time of the clock that dates the files of the folder: that of a file server, for example. */
async function readStorageClock(dir: string): Promise<number> {
  const path = join(dir, crypto.randomUUID() + PART_SUFFIX);
  try {
    await using file = await open(path, 'wx', 0o600);
    return (await file.stat()).mtimeMs;
  } finally {
    await rm(path, { force: true });
  }
}

async function removePartialFiles(dir: string, untouchedSince: number): Promise<void> {
  for (const name of await readdir(dir)) {
    if (!name.endsWith(PART_SUFFIX)) continue;
    const path = join(dir, name);
    // The process that owns the file may have renamed it since `readdir`.
    const info = await stat(path).catch(() => undefined);
    if (info !== undefined && info.mtimeMs < untouchedSince) await rm(path, { force: true });
  }
}

const codeOf = (error: unknown): unknown =>
  error instanceof Error && 'code' in error ? error.code : undefined;

const toDomainError = (error: unknown): unknown =>
  NO_SPACE_CODES.includes(codeOf(error)) ? storageFullError() : error;

const storageFullError = (): DomainError =>
  new DomainError('UNAVAILABLE', 'The media storage is full. Try again later.');

import { createWriteStream } from 'node:fs';
import { access, constants, copyFile, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { invalidInput, notFound } from '../errors.ts';
import { PendingWork } from '../lib/pending-work.ts';
import { detectContentType, SNIFFED_BYTES } from './content-type.ts';
import { isMissing, requireFreeSpace, syncFolder, toStorageError } from './media-folder.ts';
import { inspectContent, requireStoredName } from './media-storage.ts';
import type { MediaStorage, StoredFile } from './media-storage.ts';
import { createPartialFiles } from './partial-files.ts';

const PART_SUFFIX = '.part';
/** In a shared folder, a partial file untouched for this long belongs to no running process. */
const ABANDONED_MS = 3_600_000;

/**
 * Opens a storage in a folder, creating it if missing, and removes partial files of earlier processes. With `shared`,
 * other processes use the folder too: only partial files untouched for an hour are removed.
 */
export async function createFolderStorage(dir: string, shared = false): Promise<MediaStorage> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await access(dir, constants.R_OK | constants.W_OK);
  await removePartialFiles(dir, shared ? (await readStorageClock(dir)) - ABANDONED_MS : Infinity);
  const pathOf = (name: string): string => join(dir, requireStoredName(name));
  /** Stores what `write` writes to a path, whole or not at all. */
  const store = async (
    onName: ((name: string) => Promise<void>) | undefined,
    write: (path: string) => Promise<Omit<StoredFile, 'name'>>,
  ): Promise<StoredFile> => {
    const name = crypto.randomUUID();
    const partial = pathOf(name) + PART_SUFFIX;
    try {
      await requireFreeSpace(dir);
      await onName?.(name);
      const description = await write(partial);
      await rename(partial, pathOf(name));
      await syncFolder(dir);
      return { name, ...description };
    } catch (error) {
      await Promise.all([partial, pathOf(name)].map((path) => rm(path, { force: true })));
      throw toStorageError(error);
    }
  };
  const writes = new PendingWork();
  return {
    write(content, maxBytes, onName) {
      // An error before the pipeline starts is thrown by it.
      content.on('error', () => undefined);
      const inspector = inspectContent(maxBytes);
      return writes.run(() =>
        store(onName, async (path) => {
          await writeFile(path, content, inspector.passThrough);
          return inspector.describe();
        }),
      );
    },
    async read(name, range) {
      try {
        const file = await open(pathOf(name));
        return file.createReadStream(range === undefined ? {} : { start: range.start, end: range.end });
      } catch (error) {
        throw isMissing(error) ? notFound('The file') : error;
      }
    },
    async remove(names) {
      // With what a process that was killed had written of a file.
      const paths = names.flatMap((name) => [pathOf(name), pathOf(name) + PART_SUFFIX]);
      await Promise.all(paths.map((path) => rm(path, { force: true })));
    },
    // Only this server uses the folder.
    presignDownload: () => Promise.resolve(undefined),
    presignUpload: () => Promise.resolve(undefined),
    adopt: (source, size, onName) =>
      writes.run(async () => {
        await requireSize(pathOf(source), size);
        return store(onName, async (path) => {
          await copy(pathOf(source), path);
          return { size, contentType: await syncAndDetectType(path) };
        });
      }),
    partialFiles: createPartialFiles(dir, pathOf, writes),
    [Symbol.asyncDispose]: () => writes.settle(),
  };
}

/** Copies a file, or shares its blocks. Throws NOT_FOUND without it. */
async function copy(source: string, path: string): Promise<void> {
  try {
    await copyFile(source, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  } catch (error) {
    throw isMissing(error) ? notFound('The file') : error;
  }
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

async function requireSize(path: string, size: number): Promise<void> {
  const info = await stat(path).catch((error: unknown) => {
    throw isMissing(error) ? notFound('The upload') : error;
  });
  if (info.size !== size) throw invalidInput('Upload-Length', `The upload does not have ${size} bytes.`);
}

async function syncAndDetectType(path: string): Promise<string> {
  await using file = await open(path, 'r+');
  await file.sync();
  const { buffer, bytesRead } = await file.read(Buffer.alloc(SNIFFED_BYTES), 0, SNIFFED_BYTES, 0);
  return await detectContentType(buffer.subarray(0, bytesRead));
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

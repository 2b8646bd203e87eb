import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { invalidInput, notFound } from '../errors.ts';
import type { PendingWork } from '../lib/pending-work.ts';
import { isMissing, requireFreeSpace, syncFolder, toStorageError } from './media-folder.ts';

/** Longest time, while bytes arrive, until they survive a crash. */
const CHECKPOINT_MS = 1_000;

/** Bytes of an upload, from an offset on. */
export interface Piece {
  readonly offset: number;
  readonly content: Readable;
  /** Size of the whole file. */
  readonly size: number;
  /** Called with the new end when the bytes before it survive a crash. If it throws, the rest is not written. */
  onDurable(end: number): Promise<void>;
}

/** Files of a storage that arrive in pieces, until `adopt` stores them under another name. */
export interface PartialFiles {
  /** Creates an empty file under a new name. Calls `onName` as `MediaStorage.write` does. */
  create(onName: (name: string) => Promise<void>): Promise<string>;
  /**
   * Adds a piece, and resolves when it is durable. What arrives of a piece that fails is durable, too. Throws NOT_FOUND if
   * there is no such file, INVALID_INPUT above its size, UNAVAILABLE, and rethrows errors of the content.
   */
  append(name: string, piece: Piece): Promise<void>;
}

export function createPartialFiles(
  dir: string,
  pathOf: (name: string) => string,
  writes: PendingWork,
): PartialFiles {
  return {
    async create(onName) {
      const name = crypto.randomUUID();
      await requireFreeSpace(dir);
      await onName(name);
      try {
        await (await open(pathOf(name), 'wx', 0o600)).close();
        await syncFolder(dir);
      } catch (error) {
        throw toStorageError(error);
      }
      return name;
    },
    append(name, piece) {
      // An error before the content is read is thrown by reading it.
      piece.content.on('error', () => undefined);
      return writes.run(() => appendPiece(dir, pathOf(name), piece));
    },
  };
}

async function appendPiece(
  dir: string,
  path: string,
  { offset, content, size, onDurable }: Piece,
): Promise<void> {
  let end = offset;
  let durableEnd = offset;
  let savedAt = performance.now();
  try {
    await requireFreeSpace(dir);
    await using file = await open(path, 'r+');
    const save = async (): Promise<void> => {
      if (end === durableEnd) return;
      await file.datasync().catch((error: unknown) => {
        // The next one would succeed, although these bytes may be lost.
        end = durableEnd;
        throw error;
      });
      await onDurable(end);
      durableEnd = end;
      savedAt = performance.now();
    };
    try {
      for await (const part of content) {
        const chunk = part as Buffer;
        if (end + chunk.length > size)
          throw invalidInput('Upload-Length', `The upload has more than ${size} bytes.`);
        await writeAt(file, chunk, end);
        end += chunk.length;
        if (performance.now() - savedAt >= CHECKPOINT_MS) await save();
      }
      await save();
    } catch (error) {
      // The first error is the one to report.
      await save().catch(() => undefined);
      throw error;
    }
  } catch (error) {
    throw isMissing(error) ? notFound('The upload') : toStorageError(error);
  }
}

async function writeAt(file: FileHandle, chunk: Buffer, position: number): Promise<void> {
  for (let written = 0; written < chunk.length;) {
    const { bytesWritten } = await file.write(chunk, written, chunk.length - written, position + written);
    written += bytesWritten;
  }
}

import { createWriteStream } from 'node:fs';
import { access, constants, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileTypeFromBuffer } from 'file-type';
import { DomainError, notFound } from '../errors.ts';

const SNIFFED_BYTES = 4100;
const UNKNOWN_TYPE = 'application/octet-stream';
const NAME = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const UNFINISHED = '.part';
/** After this long without a byte, an unfinished file of a folder that several processes share has been left behind. */
const ABANDONED_MS = 3_600_000;
/** What a browser would run as a page of ours is served as what it is not. */
const ACTIVE_TYPES = /\b(html|xml)\b/;
const NO_ROOM_CODES = ['ENOSPC', 'EDQUOT', 'EROFS'];

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
  /** As its first bytes tell it, whatever the sender said. */
  readonly contentType: string;
}

/** Where the files of messages are kept. Disposed of, it has cleared away what was broken off. */
export interface MediaStorage extends AsyncDisposable {
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

/**
 * Keeps files in a folder, made when it is not there, and clears it of what earlier processes left half-written.
 * When other processes `share` it, an unfinished file is theirs unless it has long not grown.
 */
export async function createFolderStorage(dir: string, share = false): Promise<MediaStorage> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await access(dir, constants.R_OK | constants.W_OK);
  await removeUnfinished(dir, share ? Date.now() - ABANDONED_MS : Infinity);
  const pathOf = (name: string): string => {
    if (!NAME.test(name)) throw new Error(`Not the name of a stored file: ${name}`);
    return join(dir, name);
  };
  const store = async (content: Readable, maxBytes: number): Promise<StoredFile> => {
    const name = crypto.randomUUID();
    const unfinished = pathOf(name) + UNFINISHED;
    try {
      const { size, head } = await writeContent(unfinished, content, maxBytes);
      await rename(unfinished, pathOf(name));
      await syncFolder(dir);
      return { name, size, contentType: await sniff(head) };
    } catch (error) {
      await Promise.all([unfinished, pathOf(name)].map((path) => rm(path, { force: true })));
      throw asRefusal(error);
    }
  };
  const writing = new Set<Promise<StoredFile>>();
  return {
    async write(content, maxBytes) {
      const stored = store(content, maxBytes);
      writing.add(stored);
      try {
        return await stored;
      } finally {
        writing.delete(stored);
      }
    },
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
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(writing);
    },
  };
}

async function writeContent(
  path: string,
  content: Readable,
  maxBytes: number,
): Promise<{ size: number; head: Buffer }> {
  let size = 0;
  let head = Buffer.alloc(0);
  const measured = async function* (chunks: AsyncIterable<Uint8Array | string>): AsyncGenerator<Uint8Array> {
    for await (const part of chunks) {
      const chunk = typeof part === 'string' ? Buffer.from(part) : part;
      size += chunk.length;
      if (size > maxBytes) throw tooLarge(maxBytes);
      if (head.length < SNIFFED_BYTES) head = Buffer.concat([head, chunk]).subarray(0, SNIFFED_BYTES);
      yield chunk;
    }
  };
  const file = createWriteStream(path, { flags: 'wx', mode: 0o600, flush: true });
  try {
    await pipeline(content, measured, file);
  } finally {
    // A failure that comes early finds the file still opening: whoever removes it then must not be overtaken.
    if (!file.closed) await new Promise<void>((resolve) => void file.once('close', resolve));
  }
  return { size, head };
}

/** Without this a file can be lost in a power cut after its upload was acknowledged. */
async function syncFolder(dir: string): Promise<void> {
  if (process.platform === 'win32') return;
  await using folder = await open(dir);
  await folder.sync();
}

async function sniff(head: Buffer): Promise<string> {
  const type = await fileTypeFromBuffer(head).catch(() => undefined);
  return type === undefined || ACTIVE_TYPES.test(type.mime) ? UNKNOWN_TYPE : type.mime;
}

async function removeUnfinished(dir: string, untouchedSince: number): Promise<void> {
  for (const name of await readdir(dir)) {
    if (!name.endsWith(UNFINISHED)) continue;
    const path = join(dir, name);
    const info = await stat(path).catch(() => undefined);
    if (info !== undefined && info.mtimeMs < untouchedSince) await rm(path, { force: true });
  }
}

const codeOf = (error: unknown): unknown =>
  error instanceof Error && 'code' in error ? error.code : undefined;

const asRefusal = (error: unknown): unknown =>
  NO_ROOM_CODES.some((code) => code === codeOf(error))
    ? new DomainError('UNAVAILABLE', 'There is no room for the file at the moment.')
    : error;

const tooLarge = (maxBytes: number): DomainError =>
  new DomainError('LIMIT_EXCEEDED', `A file may have at most ${maxBytes} bytes.`, {
    limit: 'MAX_UPLOAD_BYTES',
  });

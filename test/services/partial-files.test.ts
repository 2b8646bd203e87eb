import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { expect, test, vi } from 'vitest';
import { createFolderStorage } from '../../src/services/media-storage-fs.ts';
import { errorWithCode } from '../harness/matchers.ts';
import { PNG } from '../harness/media.ts';

/** Creates an empty partial file in a folder, and records how far it is durable. */
async function createFixture() {
  const dir = await mkdtemp(join(tmpdir(), 'parley-media-'));
  const storage = await createFolderStorage(dir);
  const { partialFiles } = storage;
  if (partialFiles === undefined) throw new Error('The folder takes no pieces');
  const names: string[] = [];
  const recordName = async (created: string) => void names.push(created);
  const name = await partialFiles.create(recordName);
  const ends: number[] = [];
  return {
    dir,
    storage,
    name,
    names,
    recordName,
    ends,
    append: (offset: number, content: Readable, onDurable = async (end: number) => void ends.push(end)) =>
      partialFiles.append(name, { offset, content, size: PNG.length, onDurable }),
    async [Symbol.asyncDispose]() {
      await storage[Symbol.asyncDispose]();
      await rm(dir, { recursive: true });
    },
  };
}

const piece = (start: number, end: number): Readable => Readable.from([PNG.subarray(start, end)]);

/** Returns what all open files inherit their methods from. */
async function findFileMethods(dir: string): Promise<FileHandle> {
  await using file = await open(dir);
  return Object.getPrototypeOf(file) as FileHandle;
}

const toError = (code: string) => Object.assign(new Error(code), { code });

test('a folder stores a file that arrives in pieces, of which failed ones count as far as they came', async () => {
  await using fixture = await createFixture();
  const { dir, storage, name, names, recordName, ends, append } = fixture;
  expect(names).toEqual([name]);
  await append(0, piece(0, 10));
  const failing = new Readable({ read() {} });
  failing.push(PNG.subarray(10, 20));
  const failed = append(10, failing);
  await expect.poll(() => failing.readableLength).toBe(0);
  failing.destroy(new Error('The client aborted the request'));
  await expect(failed).rejects.toThrow('The client aborted the request');
  expect(ends).toEqual([10, 20]);
  await expect(storage.adopt(name, PNG.length, recordName)).rejects.toThrow(errorWithCode('INVALID_INPUT'));
  await expect(append(20, piece(0, PNG.length))).rejects.toThrow(errorWithCode('INVALID_INPUT'));
  await append(20, piece(20, PNG.length));
  expect(ends).toEqual([10, 20, PNG.length]);
  const stored = await storage.adopt(name, PNG.length, recordName);
  expect(stored).toEqual({ name: names.at(-1), size: PNG.length, contentType: 'image/png' });
  expect(await buffer(await storage.read(stored.name))).toEqual(PNG);
  await storage.remove([name]);
  expect(await readdir(dir)).toEqual([stored.name]);
  await expect(append(0, Readable.from([]))).rejects.toThrow(errorWithCode('NOT_FOUND'));
  await expect(storage.adopt(name, 1, recordName)).rejects.toThrow(errorWithCode('NOT_FOUND'));
});

test('a piece whose progress cannot be recorded is not written further', async () => {
  await using fixture = await createFixture();
  const content = piece(0, PNG.length);
  const append = fixture.append(0, content, () =>
    Promise.reject(new Error('Another request continues the upload')),
  );
  await expect(append).rejects.toThrow('Another request continues the upload');
  expect(content.destroyed).toBe(true);
});

test('a piece on a full disk is UNAVAILABLE, and counts as far as it was stored', async () => {
  await using fixture = await createFixture();
  const { dir, storage, name, recordName, ends, append } = fixture;
  const methods = await findFileMethods(dir);
  const { write } = methods;
  using spy = vi.spyOn(methods, 'write');
  spy.mockImplementationOnce(write).mockRejectedValueOnce(toError('ENOSPC'));
  const content = Readable.from([PNG.subarray(0, 10), PNG.subarray(10, 20)]);
  await expect(append(0, content)).rejects.toThrow(errorWithCode('UNAVAILABLE'));
  expect(ends).toEqual([10]);
  await append(10, piece(10, PNG.length));
  const stored = await storage.adopt(name, PNG.length, recordName);
  expect(await buffer(await storage.read(stored.name))).toEqual(PNG);
});

test('bytes that the disk failed to sync never count, as a later sync would not report them', async () => {
  await using fixture = await createFixture();
  const { dir, ends, append } = fixture;
  using spy = vi.spyOn(await findFileMethods(dir), 'datasync');
  spy.mockRejectedValueOnce(toError('EIO'));
  await expect(append(0, piece(0, 10))).rejects.toThrow('EIO');
  expect(ends).toEqual([]);
  await append(0, piece(0, 10));
  expect(ends).toEqual([10]);
});
